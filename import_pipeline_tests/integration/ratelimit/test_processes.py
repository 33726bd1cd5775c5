"""Real processes, a real strict server, a real store: no 429, whatever dies in between."""

import multiprocessing
from pathlib import Path

import httpx
import pytest

from import_pipeline_tests.permits import send_all_here
from import_pipeline_tests.together import together
from source_api.process import serve

TIERS = "10/1 second; 30/5 second"


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest) -> str | None:
    """The Redis address; None: SQLite."""
    return str(request.getfixturevalue("redis_url")) if request.param == "redis" else None


def test_three_processes_share_the_limits(store: str | None, tmp_path: Path) -> None:
    """31 requests: 30 within the first five seconds, the last one after them, and not one refused."""
    with serve("--limits", TIERS, "--delay-before", "20", "--delay-after", "20", "--jitter", "30") as url:
        statuses = together(3, send_all_here, url, store, str(tmp_path / "limits.db"), TIERS, 11)
        stats = httpx.get(f"{url}/_stats").json()
    assert [set(each) for each in statuses] == [{200}] * 3
    assert (stats["admitted"], stats["rate_limited"]) == (33, 0)
    assert 5 <= stats["last_admitted"] - stats["first_admitted"] < 6


def test_one_that_is_killed_takes_its_places_with_it(tmp_path: Path) -> None:
    """Its permits expire by themselves; the other one goes on and is never refused."""
    path = str(tmp_path / "limits.db")
    context = multiprocessing.get_context("spawn")
    with serve("--limits", TIERS, "--delay-before", "20") as url:
        victim = context.Process(target=send_all_here, args=(url, None, path, TIERS, 1000))
        victim.start()
        while httpx.get(f"{url}/_stats").json()["admitted"] < 5:
            victim.join(0.05)
        victim.kill()
        victim.join()
        statuses = send_all_here(url, None, path, TIERS, 25)
        stats = httpx.get(f"{url}/_stats").json()
    assert statuses == [200] * 25
    assert stats["rate_limited"] == 0


def test_a_server_that_grants_less_than_configured_refuses_only_what_was_in_flight(tmp_path: Path) -> None:
    """8 instead of 10, and no headers: two are refused once, then none."""
    with serve("--limits", "8/1 second", "--delay-before", "20", "--no-headers") as url:
        send_all_here(url, None, str(tmp_path / "limits.db"), "10/1 second", 33)
        stats = httpx.get(f"{url}/_stats").json()
    assert stats["admitted"] == 33
    assert 1 <= stats["rate_limited"] <= 10


def test_a_server_that_tells_its_lower_limit_refuses_nothing(tmp_path: Path) -> None:
    """Ten workers, and a limit of 12 instead of 20: the first answers come before it is reached."""
    with serve("--limits", "12/1 second", "--delay-before", "20") as url:
        send_all_here(url, None, str(tmp_path / "limits.db"), "20/1 second", 37)
        stats = httpx.get(f"{url}/_stats").json()
    assert (stats["admitted"], stats["rate_limited"]) == (37, 0)
