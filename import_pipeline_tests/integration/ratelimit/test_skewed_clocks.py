"""Hosts whose clocks are an hour apart, or are set while they work: they share Redis, and nothing is refused."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from import_pipeline_tests.support import http
from import_pipeline_tests.support.database_servers import RedisServer
from import_pipeline_tests.support.skewed_clock import SkewedClock
from source_api.process import serve

TIERS = "10/1 second; 30/5 second"
#: The program of a host: send the requests; print the time before and after by its own clock, and the statuses.
SENDER = """
import json, sys, time
from import_pipeline_tests.support.sending_process import send_all_here
url, store, tiers, requests = sys.argv[1:]
began = time.time()
statuses = send_all_here(url, store, "unused", tiers, int(requests))
print(json.dumps([began, time.time(), statuses]))
"""
HOUR = 3600


def start(clock: SkewedClock, url: str, store: str, tiers: str, requests: int) -> subprocess.Popen[str]:
    """Start a host with that clock."""
    arguments = [sys.executable, "-c", SENDER, url, store, tiers, str(requests)]
    return subprocess.Popen(arguments, env=clock.environment, stdout=subprocess.PIPE, text=True)


def result_of(host: subprocess.Popen[str]) -> tuple[float, float, list[int]]:
    """Return its start and its end by its own clock, and the statuses that it got."""
    out, _ = host.communicate(timeout=60)
    began, ended, statuses = json.loads(out)
    return began, ended, statuses


@pytest.mark.parametrize(
    ("tiers", "most_refused"),
    [(TIERS, 0), pytest.param("", 20, marks=pytest.mark.nightly)],
    ids=["configured", "named in headers"],
)
def test_two_hosts_an_hour_apart_share_the_limits(
    redis_url: str, tmp_path: Path, tiers: str, most_refused: int
) -> None:
    """33 requests under 10 per second and 30 per five: at least five seconds, not an hour, and not one refused.

    Where the limits are not configured and both clocks are wrong, moments are read against Date in whole seconds: a
    first window may be a second too short, and refuses those in flight, ten of each host, until it is corrected.
    """
    ahead, behind = SkewedClock(tmp_path / "ahead", HOUR), SkewedClock(tmp_path / "behind", -HOUR)
    with serve("--limits", TIERS, "--delay-before", "20", "--delay-after", "20", "--jitter", "20") as url:
        hosts = [start(clock, url, redis_url, tiers, count) for clock, count in ((ahead, 17), (behind, 16))]
        (began, _, statuses), (other_began, _, other_statuses) = map(result_of, hosts)
        stats = http.get(f"{url}/_stats").json()
    assert began - other_began == pytest.approx(2 * HOUR, abs=60)
    assert stats["admitted"] == (statuses + other_statuses).count(200) == 33
    assert stats["rate_limited"] <= most_refused
    assert 5 <= stats["last_admitted"] - stats["first_admitted"] < 30


@pytest.mark.nightly
@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["ahead", "back"])
def test_a_hosts_clock_that_is_set_in_the_middle_changes_nothing(redis_url: str, tmp_path: Path, step: int) -> None:
    with (
        SkewedClock(tmp_path) as clock,
        serve("--limits", TIERS, "--delay-before", "20") as url,
    ):
        host = start(clock, url, redis_url, TIERS, 33)
        wait_for(url, 15)
        clock.set(step)
        began, ended, _ = result_of(host)
        stats = http.get(f"{url}/_stats").json()
    assert ended - began == pytest.approx(step + 6, abs=20)
    assert (stats["admitted"], stats["rate_limited"]) == (33, 0)
    assert 5 <= stats["last_admitted"] - stats["first_admitted"] < 30


@pytest.mark.parametrize("step", [HOUR, pytest.param(-HOUR, marks=pytest.mark.nightly)], ids=["ahead", "back"])
def test_the_stores_clock_that_is_set_in_the_middle_grants_nothing(tmp_path: Path, step: int) -> None:
    """Redis itself believes that an hour has passed, or will pass again: its clients know better."""
    with (
        SkewedClock(tmp_path / "clock") as clock,
        RedisServer(environment=clock.environment) as redis,
        serve("--limits", TIERS, "--delay-before", "20") as url,
    ):
        straight = SkewedClock(tmp_path / "straight")
        hosts = [start(straight, url, redis.url(), TIERS, count) for count in (17, 16)]
        wait_for(url, 15)
        clock.set(step)
        for host in hosts:
            assert set(result_of(host)[2]) == {200}
        assert redis.time() == pytest.approx(time.time() + step, abs=60)
        stats = http.get(f"{url}/_stats").json()
    assert (stats["admitted"], stats["rate_limited"]) == (33, 0)
    assert 5 <= stats["last_admitted"] - stats["first_admitted"] < 30


def wait_for(url: str, admitted: int) -> None:
    """Wait until the server has admitted that many requests."""
    until = time.monotonic() + 30
    while http.get(f"{url}/_stats").json()["admitted"] < admitted:
        assert time.monotonic() < until
        time.sleep(0.02)
