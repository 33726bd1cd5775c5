"""Redis, SQLite and the rule in Python mean the same: the same asks get the same answers."""

from pathlib import Path
from uuid import uuid4

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from import_pipeline.ratelimit.protocol import SECOND, Outcome
from import_pipeline_tests.support.database_servers import RedisServer
from import_pipeline_tests.support.limiter_stories import (
    FakeTimeMemory,
    FakeTimeRedis,
    Step,
    StepPlayer,
    VirtualTime,
    sqlite_store,
    steps,
    steps_with,
)

#: Quick answers shorten the windows, but not that of a request whose connection broke.
BROKEN = [
    *(Step(0, 0, 7, 5 * SECOND, [], lowest_latency=200_000) for _ in range(3)),
    Step(0, 0, 0, SECOND, [(0, Outcome.CUT_OFF, 0, 0, False)] * 3),
    *(Step(0, SECOND // 20, 1, SECOND, []) for _ in range(45)),
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(played=st.one_of(steps, steps_with(())))
@example(played=BROKEN)
def test_redis_answers_as_the_rule_in_python(redis_server: RedisServer, played: list[Step]) -> None:
    """Grants, waits, pauses, probes, sleeps and counts are equal at every step."""
    redis_server.flush()
    time = VirtualTime()
    redis = FakeTimeRedis(redis_server.url(), time)
    player = StepPlayer(time, [FakeTimeMemory(time), redis])
    for step in played:
        _, (expected, result) = player.play(step)
        assert result == expected
    redis.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(played=steps)
def test_sqlite_answers_as_the_rule_in_python(tmp_path: Path, played: list[Step]) -> None:
    """Every step is equal; the file is closed and opened again between steps of different processes."""
    time = VirtualTime()
    path = tmp_path / f"{uuid4().hex}.db"
    sqlite = sqlite_store(path, time)
    player = StepPlayer(time, [FakeTimeMemory(time), sqlite])
    for step in played:
        if step.process == 2:
            sqlite.close()
        _, (expected, result) = player.play(step)
        assert result == expected
    sqlite.close()
