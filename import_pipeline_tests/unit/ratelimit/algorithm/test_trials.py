"""Guessed limits rise again: whole imports against APIs that refuse for other reasons than our limits, in virtual time.

Each story names the seconds that it took while a guess held for a day, or for minutes.
"""

import math
from random import Random

import pytest

from import_pipeline_tests.support.unknown_limits import UnknownServer, Window, import_all, seconds_taken
from import_pipeline_tests.support.virtual_time import Delay, run_in_virtual_time, seeds


def about(seconds: float, jitter: float = 0.0, seed: int = 3) -> Delay:
    """Return a delay of `seconds` and up to `jitter` more."""
    random = Random(seed)
    return lambda: seconds + random.uniform(0, jitter)


def refusing_one(number: int, wait: float, *, names_a_wait: bool = True) -> UnknownServer:
    """A server without limits that refuses one request alone."""
    count = iter(range(1, 1_000_000))

    def rule(path: str, now: float, in_flight: int) -> float | None:
        return wait if next(count) == number else None

    return UnknownServer(rule=rule, before=about(0.01), after=about(0.01), names_a_wait=names_a_wait)


def changing(low: int, high: int, until: float) -> UnknownServer:
    """A server that allows `low` per two seconds at first, and `high` from then on."""
    window = Window(low, 2.0)

    def rule(path: str, now: float, in_flight: int) -> float | None:
        window.amount = low if now < until else high
        return window.wait(now)

    return UnknownServer(rule=rule, before=about(0.01, 0.01), after=about(0.01, 0.01))


def crowded(most: int, *, names_a_wait: bool = False) -> UnknownServer:
    """A server that serves `most` requests at once, each in about a tenth of a second."""
    return UnknownServer(
        rule=lambda path, now, in_flight: 1.0 if in_flight > most else None,
        before=about(0.005),
        after=about(0.005),
        serving=about(0.09, 0.02),
        names_a_wait=names_a_wait,
    )


@pytest.mark.parametrize("number", [1, 5, 150])
@pytest.mark.parametrize("processes", [1, 4])
@pytest.mark.parametrize("names_a_wait", [True, False])
def test_one_refusal_costs_its_pause_and_no_more(number: int, processes: int, names_a_wait: bool) -> None:
    """300 details of 20 ms, ten at once (it took 42 s): the pause of two seconds, and the time that they need."""
    server = refusing_one(number, 2.0, names_a_wait=names_a_wait)
    run_in_virtual_time(import_all(server, details=300, pages=3, processes=processes))
    assert (len(server.admitted), server.refused) == (303, 1)
    assert seconds_taken(server) < 5


@pytest.mark.parametrize("processes", [1, 4])
@pytest.mark.parametrize("limits", ["40/2 second", ""])
def test_a_limit_that_was_lowered_for_a_while_rises_again(limits: str, processes: int) -> None:
    """10/2 s for 14 s, then 40/2 s (it took 128 s): no process could need less than 42 s for 640 details."""
    server = changing(10, 40, until=14)
    run_in_virtual_time(import_all(server, limits=limits, details=640, processes=processes))
    assert len(server.admitted) == 640
    assert seconds_taken(server) < 55
    assert server.refused <= 10 * processes + 12, "those in flight at the first one, and one in a hundred and a few"


def test_a_server_that_stays_lower_than_configured_is_asked_for_more_now_and_then_only() -> None:
    """10/2 s instead of 40/2 s: 640 details take 126 s at least."""
    server = changing(10, 10, until=0)
    run_in_virtual_time(import_all(server, limits="40/2 second", details=640))
    assert seconds_taken(server) < 1.05 * 126
    assert server.refused <= 9 + 6


def test_no_trial_goes_above_what_is_configured() -> None:
    """After a time of 10/2 s the server allows anything; we send 40/2 s."""
    server = changing(10, 1000, until=14)
    run_in_virtual_time(import_all(server, limits="40/2 second", details=640))
    most = max(sum(began <= each < began + 1.99 for each in server.admitted) for began in server.admitted)
    assert most <= 40


@pytest.mark.parametrize("names_a_wait", [True, False])
@pytest.mark.parametrize("limits", ["", "1000/10 second"])
def test_a_limit_of_requests_in_flight_is_not_taken_for_a_rate(limits: str, names_a_wait: bool) -> None:
    """Five at once, of ten workers (100 details took 104 s, and 3,304 s where a rate is configured): 8 s for 400."""
    server = crowded(5, names_a_wait=names_a_wait)
    run_in_virtual_time(import_all(server, limits=limits, details=400, pages=10))
    assert len(server.admitted) == 410
    assert seconds_taken(server) < 20
    assert server.refused <= 6 + 10


def test_the_number_in_flight_is_kept_over_all_processes() -> None:
    server = crowded(5)
    run_in_virtual_time(import_all(server, details=400, pages=4, processes=4))
    assert len(server.admitted) == 404
    assert seconds_taken(server) < 20
    assert server.refused <= 36 + 10, "those in flight at the first one"


@pytest.mark.parametrize("limits", ["", "1000/10 second"])
@pytest.mark.parametrize("names_a_wait", [True, False])
def test_a_limit_of_the_list_alone_slows_no_details(limits: str, names_a_wait: bool) -> None:
    """Two list pages per 3 s: ten need 12 s, and the 500 details beside them less (1,000 took 121 s)."""
    window = Window(2, 3.0)

    def rule(path: str, now: float, in_flight: int) -> float | None:
        return window.wait(now) if path == "/things" else None

    server = UnknownServer(rule=rule, before=about(0.01), after=about(0.01), names_a_wait=names_a_wait)
    run_in_virtual_time(import_all(server, limits=limits, details=500, pages=10))
    assert len(server.admitted) == 510
    assert seconds_taken(server) < 25
    assert server.refused < 10


@pytest.mark.parametrize("pages", [10, 300])
@pytest.mark.parametrize("limits", ["", "40/1 second"])
def test_a_list_whose_api_has_one_limit_for_all_does_not_starve(limits: str, pages: int) -> None:
    """20/1 s for the list and the details together: 600 requests need 29 s, whichever is refused first."""
    window = Window(20, 1.0)
    server = UnknownServer(
        rule=lambda path, now, in_flight: window.wait(now), before=about(0.01, 0.02), after=about(0.01, 0.02)
    )
    run_in_virtual_time(import_all(server, limits=limits, details=600 - pages, pages=pages))
    assert len(server.admitted) == 600
    assert seconds_taken(server) < 1.5 * 29
    assert server.refused <= 11 + 12


@pytest.mark.parametrize("seed", seeds(4, by_day=1))
def test_limits_that_are_found_cost_few_refusals(seed: int) -> None:
    """20/1 s: 1,001 details take 50 s at least; one refusal in a hundred pays for what can rise."""
    window = Window(20, 1.0)
    server = UnknownServer(
        rule=lambda path, now, in_flight: window.wait(now),
        before=about(0.02, 0.05, seed),
        after=about(0.02, 0.05, seed),
    )
    run_in_virtual_time(import_all(server, details=1001, seed=seed))
    assert seconds_taken(server) < 1.25 * 50
    assert server.refused <= 10 + 10


@pytest.mark.parametrize("reset", [None, 0, 1])
@pytest.mark.parametrize(("limit", "remaining"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("processes", [pytest.param(1, marks=pytest.mark.nightly), 4])
def test_headers_that_muddle_the_tiers_do_not_slow_what_is_configured(
    limit: int, remaining: int, reset: int | None, processes: int
) -> None:
    """One tier's limit with another one's remaining and reset cost 9%, or four times the least time."""
    tiers = [Window(50, 2.0), Window(200, 10.0)]

    def rule(path: str, now: float, in_flight: int) -> float | None:
        left = [tier.left(now) for tier in tiers]
        return max(left) if any(left) else max(tier.wait(now) or 0.0 for tier in tiers) or None

    def headers(path: str, now: float) -> dict[str, str]:
        named = {"x-ratelimit-limit": str(tiers[limit].amount)}
        named["x-ratelimit-remaining"] = str(tiers[remaining].amount - len(tiers[remaining].log))
        if reset is not None:
            window = tiers[reset]
            named["x-ratelimit-reset"] = str(math.ceil(window.log[0] + window.seconds - now))
        return named

    server = UnknownServer(rule=rule, before=about(0.02, 0.05), after=about(0.02, 0.05), headers=headers)
    run_in_virtual_time(import_all(server, limits="50/2 second; 200/10 second", details=401, processes=processes))
    assert server.refused == 0
    assert server.admitted[-1] - server.admitted[0] < 1.03 * 20
