"""The permits through the interface of `limits`."""

from pathlib import Path

import pytest
from limits import parse
from limits.storage import Storage, storage_from_string
from limits.strategies import STRATEGIES, FixedWindowRateLimiter

from import_pipeline.ratelimit.limits_strategy import NAME, ResponseClockedRateLimiter, register
from import_pipeline.ratelimit.stores.open import storage_uri


@pytest.fixture(params=["sqlite", "redis"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """A storage opened by its address, as `limits` does it."""
    url = str(request.getfixturevalue("redis_url")) if request.param == "redis" else None
    opened = storage_from_string(storage_uri(url, tmp_path / "a folder" / "limits.db"))
    assert isinstance(opened, Storage)
    return opened


def test_hits_fill_a_window_and_nothing_more(storage: Storage) -> None:
    limiter, item = ResponseClockedRateLimiter(storage), parse("5/10 second")
    assert [limiter.hit(item, "a") for _ in range(6)] == [True] * 5 + [False]
    assert limiter.hit(item, "b", cost=4) is True
    assert limiter.hit(item, "b", cost=2) is False  # both or none
    assert limiter.get_window_stats(item, "b").remaining == 1
    assert (limiter.test(item, "b"), limiter.test(item, "b", cost=2)) == (True, False)
    limiter.clear(item, "a")
    assert limiter.hit(item, "a") is True


def test_the_storage_serves_the_other_strategies_too(storage: Storage) -> None:
    limiter, item = FixedWindowRateLimiter(storage), parse("2/10 second")
    assert [limiter.hit(item, "x") for _ in range(3)] == [True, True, False]
    assert limiter.get_window_stats(item, "x").remaining == 0
    limiter.clear(item, "x")
    assert limiter.test(item, "x") is True
    assert storage.check() is True
    limiter.hit(item, "x")
    assert storage.reset()
    assert limiter.get_window_stats(item, "x").remaining == 2


def test_another_storage_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="permits"):
        ResponseClockedRateLimiter(storage_from_string("memory://"))  # type: ignore[arg-type]


def test_the_strategy_registers_under_its_name() -> None:
    register()
    assert dict(STRATEGIES)[NAME] is ResponseClockedRateLimiter
