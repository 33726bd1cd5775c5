"""Processes with limiter and transport against a strict server, in virtual time over many networks."""

import math
from random import Random

import pytest

from import_pipeline.ratelimit import parse_tiers
from import_pipeline.rules.forecast import minimum_seconds
from import_pipeline_tests.support.virtual_time import (
    AGAIN,
    YEAR_2030,
    Delay,
    Reset,
    SimulatedServer,
    SimulationResult,
    run_in_virtual_time,
    seeds,
    send_all,
)
from source_api.throttle import WindowKind


def delays(random: Random, least: float, jitter: float) -> dict[str, Delay]:
    """Return the delays before and after the server counts a request: `least` seconds and up to `jitter` more."""
    delay = lambda: least + random.uniform(0, jitter)  # noqa: E731
    return {"before": delay, "after": delay}


def learn_20_per_3_seconds(kind: WindowKind, reset: Reset) -> SimulationResult:
    """Run two processes that learn a server's 20 requests per 3 seconds from its headers."""
    random = Random(1)
    server = SimulatedServer(
        limits="20/3 second", **delays(random, 0.02, 0.03), kind=kind, epoch=YEAR_2030 + 0.3, reset=reset
    )
    requests = send_all(server, random, limits="", requests=81, processes=2, workers=4, epoch=server.epoch)
    return run_in_virtual_time(requests)


@pytest.mark.parametrize("seed", seeds(6, by_day=4))
def test_known_limits_are_used_to_the_full_and_never_exceeded(seed: int) -> None:
    """One to four processes, up to 70 ms before and after the counting: no 429, and hardly more than the least time."""
    random = Random(seed)
    fixed = random.choice([0.0, 0.02])
    server = SimulatedServer(
        limits="50/2 second; 200/10 second",
        **delays(random, fixed, 0.05),
        kind=list(WindowKind)[seed % 2],
    )
    course = run_in_virtual_time(send_all(server, random, limits=server.limits, requests=401, processes=1 + seed % 4))
    assert (len(server.admitted), course.refused) == (401, 0)
    assert 1.0 <= course.ratio < 1.015


@pytest.mark.parametrize("stricter", ["20/2 second; 100/10 second", "10/1 second; 50/2 second; 200/10 second"])
@pytest.mark.parametrize("names_limits", [False, True])
@pytest.mark.parametrize("seed", seeds(3, by_day=1))
def test_processes_of_stricter_limits_share_the_api_with_others(seed: int, names_limits: bool, stricter: str) -> None:
    """A tier that a process of its own would always keep is not kept by itself if others send too."""
    random = Random(seed)
    server = SimulatedServer(
        limits="50/2 second; 200/10 second",
        **delays(random, 0.02, 0.03),
        sends_limits=names_limits,
    )
    course = run_in_virtual_time(send_all(server, random, limits=[server.limits, stricter], requests=601))
    assert (len(server.admitted), course.refused) == (601, 0)


@pytest.mark.parametrize("own", ["25/2 second; 100/10 second", "25/2 second; 90/10 second"])
def test_limits_below_those_that_a_server_names_are_not_lowered_again(own: str) -> None:
    random = Random(1)
    server = SimulatedServer(
        limits="50/2 second; 200/10 second",
        **delays(random, 0.02, 0.01),
    )
    course = run_in_virtual_time(send_all(server, random, limits=own, requests=301))
    assert course.refused == 0
    assert server.admitted[-1] - server.admitted[0] < 1.03 * minimum_seconds(301, parse_tiers(own))


@pytest.mark.parametrize(("processes", "most"), [(1, 1.035), (4, 1.05), (8, 1.06)])
def test_short_windows_lose_less_than_their_round_trips(processes: int, most: float) -> None:
    """10/1 s at 200 ms: a round trip in every window would be 1.2 times the least time."""
    random = Random(processes)
    server = SimulatedServer(
        limits="10/1 second",
        **delays(random, 0.1, 0.004),
        sends_limits=False,
    )
    course = run_in_virtual_time(send_all(server, random, limits=server.limits, requests=301, processes=processes))
    assert (len(server.admitted), course.refused) == (301, 0)
    assert course.ratio < 1.2


@pytest.mark.parametrize("processes", [1, 4])
def test_after_an_outage_requests_resume_as_from_empty_windows(processes: int) -> None:
    """A server is killed with ten to twenty requests in flight and refuses connections for six seconds."""
    random = Random(processes)
    server = SimulatedServer(
        limits="20/2 second",
        **delays(random, 0.1, 0.05),
        dies_at=6.75,
        is_back_at=12.75,
    )
    course = run_in_virtual_time(send_all(server, random, limits=server.limits, requests=201, processes=processes))
    before = sum(moment < server.dies_at for moment in server.admitted)
    left = len(server.admitted) - before
    least = minimum_seconds(left, parse_tiers(server.limits))
    assert course.refused == 0
    assert 0 < server.admitted[-1] - server.is_back_at < least * 1.1 + AGAIN


@pytest.mark.parametrize("date_every", [0.0, 1.01])
@pytest.mark.parametrize("seed", seeds(5, by_day=2))
def test_limits_that_headers_name_are_learned_and_used_to_the_full(seed: int, date_every: float) -> None:
    """The start lies anywhere in a second; the server reads its clock for every Date or once a second."""
    random = Random(seed)
    epoch = YEAR_2030 + random.uniform(0.1, 0.95)
    server = SimulatedServer(
        limits="40/2 second; 160/10 second",
        **delays(random, 0.02, 0.01),
        epoch=epoch,
        date_turns=-random.random(),
        date_every=date_every,
    )
    course = run_in_virtual_time(send_all(server, random, limits="", requests=401, processes=1 + seed % 4, epoch=epoch))
    assert course.found == ((40, 2), (160, 10))
    assert course.refused == 0
    assert course.ratio < 1.02


@pytest.mark.parametrize(("begins", "delay", "jitter"), [(0.956, 0.02, 0.01), (0.712, 0.1, 0.05)])
@pytest.mark.parametrize("seed", range(4))
def test_a_window_that_two_lengths_would_explain_is_never_taken_too_short(
    begins: float, delay: float, jitter: float, seed: int
) -> None:
    """The first request comes just before a second's end, so the reset is less than two seconds away."""
    random = Random(seed)
    server = SimulatedServer(
        limits="40/2 second; 160/10 second",
        **delays(random, delay, jitter),
        epoch=YEAR_2030 + begins,
    )
    course = run_in_virtual_time(
        send_all(server, random, limits="", requests=121, processes=1 + seed % 4, epoch=server.epoch)
    )
    assert course.refused == 0
    assert course.found[0] in ((40, 2), (40, 3))


RESETS: dict[str, Reset] = {
    "duration, rounded up": lambda left, _: str(math.ceil(left)),
    "duration, rounded down": lambda left, _: str(int(left)),
    "duration, rounded": lambda left, _: str(round(left)),
    "duration, exact": lambda left, _: f"{left:.3f}",
    "moment, rounded up": lambda left, now: str(math.ceil(now + left)),
    "moment, exact": lambda left, now: f"{now + left:.3f}",
}


@pytest.mark.parametrize("kind", [WindowKind.SLIDING, WindowKind.FIXED])
@pytest.mark.parametrize("reset", RESETS)
def test_a_window_is_learned_however_its_reset_is_rounded(reset: str, kind: WindowKind) -> None:
    """No request is refused; until the rounding is known, the window may be taken for a second longer, once."""
    course = learn_20_per_3_seconds(kind, RESETS[reset])
    assert (course.found, course.refused) == (((20, 3),), 0)
    assert course.ratio < 1.2


@pytest.mark.parametrize("kind", [WindowKind.SLIDING, WindowKind.FIXED])
def test_moments_that_are_rounded_down_cost_those_in_flight_once(kind: WindowKind) -> None:
    """They are taken for rounded up; a refusal by a tier that has room shows that they are not."""
    course = learn_20_per_3_seconds(kind, lambda left, now: str(int(now + left)))
    assert course.found == ((20, 3),)
    assert 0 < course.refused <= 8


def test_a_window_of_one_second_is_found_though_its_reset_is_none() -> None:
    """Rounded down, it is one only at the very first, so that two seconds are possible too."""
    random = Random(1)
    server = SimulatedServer(
        limits="10/1 second",
        **delays(random, 0.02, 0.03),
        reset=lambda left, _: str(int(left)),
    )
    course = run_in_virtual_time(send_all(server, random, limits="", requests=61, processes=1, workers=1))
    assert (course.found, course.refused) == (((10, 1),), 0)


def test_one_refusal_corrects_a_window_that_was_taken_at_its_word() -> None:
    """One per three seconds, of which a moment later two are left in whole ones, and none in the last."""
    server = SimulatedServer(
        limits="1/3 second",
        before=lambda: 0.02,
        after=lambda: 0.02,
        reset=lambda left, _: str(int(max(0.0, left - 0.001))),
    )
    course = run_in_virtual_time(send_all(server, Random(1), limits="", requests=9, processes=1, workers=1))
    assert (course.found, course.refused) == (((1, 3),), 1)


def test_a_clock_that_is_minutes_wrong_is_not_used_if_date_is_better() -> None:
    """The server writes Date anew for every answer, and the first request comes within a second: both are taken up."""
    random = Random(1)
    server = SimulatedServer(limits="40/2 second; 160/10 second", before=lambda: 0.02, after=lambda: 0.02)
    course = run_in_virtual_time(
        send_all(server, random, limits="", requests=401, processes=4, epoch=YEAR_2030 + 200.3)
    )
    assert course.found == ((40, 2), (160, 10))
