"""Real processes, a real strict server, a real store: no 429, whatever dies in between."""

import time
from pathlib import Path

import pytest

from import_pipeline.ratelimit import open_permits
from import_pipeline.ratelimit.protocol import SECOND, ExchangeRequest, PermitRequest
from import_pipeline_tests.support import http
from import_pipeline_tests.support.forked_cli import serve, start_forkserver
from import_pipeline_tests.support.parallel import run_in_parallel
from import_pipeline_tests.support.sending_process import send_all_here

TIERS = "10/1 second; 30/5 second"


BY_DAY_IN_REDIS = pytest.mark.parametrize(
    "store", ["redis", pytest.param("sqlite", marks=pytest.mark.nightly)], indirect=True
)


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest) -> str | None:
    """The Redis address; None: SQLite."""
    return str(request.getfixturevalue("redis_url")) if request.param == "redis" else None


def test_three_processes_share_the_limits(store: str | None, tmp_path: Path) -> None:
    """31 requests: 30 within the first five seconds, the last one after them, and not one refused."""
    with serve("--limits", TIERS, "--delay-before", "20", "--delay-after", "20", "--jitter", "30") as url:
        statuses = run_in_parallel(3, send_all_here, url, store, str(tmp_path / "limits.db"), TIERS, 11)
        stats = http.get(f"{url}/_stats").json()
    assert [set(each) for each in statuses] == [{200}] * 3
    assert (stats["admitted"], stats["rate_limited"]) == (33, 0)
    assert 5 <= stats["last_admitted"] - stats["first_admitted"] < 6


@BY_DAY_IN_REDIS
def test_a_request_of_three_places_leaves_room_for_a_third_of_them(store: str | None, tmp_path: Path) -> None:
    """Twelve requests of two processes under 15/1 s: five at once, five after a second, the last two after two."""
    with serve("--limits", "none", "--delay-before", "20") as url:
        path = str(tmp_path / "limits.db")
        run_in_parallel(2, send_all_here, url, store, path, "15/1 second", 6, 3)
        arrivals = [at for at, _, _ in http.get(f"{url}/_log").json()]
    assert all(later - earlier >= 1 for earlier, later in zip(arrivals, arrivals[5:], strict=False))
    assert 2 <= arrivals[-1] - arrivals[0] < 3


@BY_DAY_IN_REDIS
def test_all_processes_together_have_no_more_in_flight_than_allowed(store: str | None, tmp_path: Path) -> None:
    """Three processes of ten workers, four requests at once: the server never sees a fifth, and is always busy."""
    with serve("--limits", "none", "--delay-after", "50") as url:
        path = str(tmp_path / "limits.db")
        statuses = run_in_parallel(3, send_all_here, url, store, path, "4 concurrent", 40)
        stats = http.get(f"{url}/_stats").json()
    assert [set(each) for each in statuses] == [{200}] * 3
    assert stats["peak_concurrency"] == 4
    # 120 requests of 50 ms, four at a time, are 1.5 s; each place changes hands through the store.
    assert stats["last_admitted"] - stats["first_admitted"] < 6


def test_the_places_of_a_killed_process_come_free(tmp_path: Path) -> None:
    """It held both; no process settles them any more, and they end with their requests' deadline."""
    with serve("--limits", "none") as url:
        permits = open_permits(None, tmp_path / "limits.db")
        wanted = tuple(PermitRequest(permit=name, lifetime=3 * SECOND) for name in "ab")
        began = time.monotonic()
        assert permits.exchange(
            ExchangeRequest(api="api", process="dead", tiers=(), concurrent=2, wanted=wanted)
        ).starts == (0, 0)
        permits.close()
        assert send_all_here(url, None, str(tmp_path / "limits.db"), "2 concurrent", 3) == [200] * 3
    assert time.monotonic() - began >= 3


@pytest.mark.parametrize(
    ("options", "most_refused", "most_later"),
    [(("--no-headers",), 60, 20), pytest.param((), 10, 0, marks=pytest.mark.nightly)],
    ids=["probed", "named in headers"],
)
@pytest.mark.parametrize(
    ("each", "store"),
    [
        (33, "sqlite"),
        pytest.param(75, "sqlite", marks=pytest.mark.nightly),
        pytest.param(75, "redis", marks=pytest.mark.nightly),
    ],
    indirect=["store"],
)
def test_limits_that_are_not_configured_are_inferred(
    options: tuple[str, ...], most_refused: int, most_later: int, each: int, store: str | None, tmp_path: Path
) -> None:
    """Two processes of ten workers, a server with two tiers: a few refusals at first.

    Headers name the tier that is nearest to full: the second one not before the third burst, when 20 requests are in
    flight and it has 10 places left. Afterwards it is known.
    """
    limits = "25/1 second; 60/4 second"
    path = str(tmp_path / "limits.db")
    with serve("--limits", limits, "--delay-before", "20", *options) as url:
        run_in_parallel(2, send_all_here, url, store, path, "", each)
        first = http.get(f"{url}/_stats").json()
        send_all_here(url, store, path, "", each // 2)
        later = http.get(f"{url}/_stats").json()
    assert later["admitted"] == 2 * each + each // 2
    assert first["rate_limited"] <= most_refused
    assert later["rate_limited"] - first["rate_limited"] <= most_later


def test_one_that_is_killed_takes_its_places_with_it(tmp_path: Path) -> None:
    """Its permits expire by themselves; the other one continues and is never refused."""
    path = str(tmp_path / "limits.db")
    context = start_forkserver()
    with serve("--limits", TIERS, "--delay-before", "20") as url:
        victim = context.Process(target=send_all_here, args=(url, None, path, TIERS, 1000))
        victim.start()
        while http.get(f"{url}/_stats").json()["admitted"] < 5:
            victim.join(0.05)
        victim.kill()
        victim.join()
        statuses = send_all_here(url, None, path, TIERS, 25)
        stats = http.get(f"{url}/_stats").json()
    assert statuses == [200] * 25
    assert stats["rate_limited"] == 0


def test_a_server_that_grants_less_than_configured_refuses_only_what_was_in_flight(tmp_path: Path) -> None:
    """8 instead of 10, and no headers: two are refused once, then none."""
    with serve("--limits", "8/1 second", "--delay-before", "20", "--no-headers") as url:
        send_all_here(url, None, str(tmp_path / "limits.db"), "10/1 second", 33)
        stats = http.get(f"{url}/_stats").json()
    assert stats["admitted"] == 33
    assert 1 <= stats["rate_limited"] <= 10


def test_a_server_that_names_its_lower_limit_refuses_nothing(tmp_path: Path) -> None:
    """Ten workers, and a limit of 12 instead of 20: the first answers come before it is reached."""
    with serve("--limits", "12/1 second", "--delay-before", "20") as url:
        send_all_here(url, None, str(tmp_path / "limits.db"), "20/1 second", 37)
        stats = http.get(f"{url}/_stats").json()
    assert (stats["admitted"], stats["rate_limited"]) == (37, 0)
