"""Guesses rise in every store in the same way: whole imports are recorded in one, and played again to the others."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from import_pipeline.ratelimit.protocol import ExchangeReply, ExchangeRequest
from import_pipeline.testing import MemoryPermits
from import_pipeline_tests.support.limiter_stories import FakeTimeRedis, VirtualTime, sqlite_store
from import_pipeline_tests.support.unknown_limits import UnknownServer, Window, import_all
from import_pipeline_tests.support.virtual_time import LoopClock, run_in_virtual_time


class Recorded(MemoryPermits):
    """A store that keeps what it was asked, when, and what it answered."""

    steps: list[tuple[int, ExchangeRequest, ExchangeReply]]

    def exchange(self, ask: ExchangeRequest) -> ExchangeReply:
        now = self._micros()
        answer = super().exchange(ask)
        self.steps.append((now, ask, answer))
        return answer


def changing(path: str, now: float, in_flight: int, window: Window = Window(8, 2.0)) -> float | None:  # noqa: B008
    window.amount = 8 if now < 9 else 30
    return window.wait(now)


def crowded(path: str, now: float, in_flight: int) -> float | None:
    return 1.0 if in_flight > 4 else None


@pytest.mark.parametrize("rule", [changing, crowded])
@pytest.mark.parametrize("limits", ["", "30/2 second; 140/10 second", "200/10 second"])
def test_all_stores_let_guesses_rise_alike(
    rule: Callable[[str, float, int], float | None], limits: str, redis_url: str, tmp_path: Path
) -> None:
    random = Random(5)
    server = UnknownServer(
        rule=rule,
        before=lambda: random.uniform(0.01, 0.03),
        after=lambda: random.uniform(0.01, 0.03),
        serving=lambda: random.uniform(0, 0.1),
    )
    store = Recorded(LoopClock())
    store.steps = []
    run_in_virtual_time(import_all(server, limits=limits, details=300, pages=3, processes=2, workers=6, permits=store))
    assert server.refused > 0
    time = VirtualTime()
    start = time.now
    others = [FakeTimeRedis(redis_url, time), sqlite_store(tmp_path / "limits.db", time)]
    for moment, ask, expected in store.steps:
        time.now = start + moment - store.steps[0][0]
        assert [other.exchange(ask) for other in others] == [expected, expected], (moment, ask)
    for other in others:
        other.close()
