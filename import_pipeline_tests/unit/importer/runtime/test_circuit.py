"""The circuit: requests pass while it is closed; while it is open, one at a time tries."""

import asyncio

import pytest

from import_pipeline.importer.runtime.circuit import Circuit
from import_pipeline.rules.circuit_breaker import CircuitState
from import_pipeline.testing import FakeClock

pytestmark = pytest.mark.anyio


class Api:
    """An API that fails until a moment; each request is retried through the circuit until it succeeds."""

    def __init__(self, works_at):
        self.clock = FakeClock()
        self.works_at = works_at
        self.reports = []
        self.requests = []
        self.states = set()
        self.circuit = Circuit(self.clock, lambda: 0.0, self.report)

    async def report(self, reason, seconds):
        self.states.add(self.circuit.state)
        self.reports.append((reason, seconds))

    async def fetch(self, name):
        while True:
            async with self.circuit.attempt():
                self.requests.append((name, self.clock.monotonic()))
                await self.clock.sleep(0.1)
                self.states.add(self.circuit.state)
                works = self.clock.monotonic() >= self.works_at
            if works:
                self.circuit.close()
                return name
            self.circuit.open("nothing works")


async def test_a_closed_circuit_lets_all_requests_pass():
    api = Api(works_at=0)
    assert await asyncio.gather(*(api.fetch(name) for name in "abc")) == ["a", "b", "c"]
    assert (api.requests, api.reports, api.states) == ([("a", 0), ("b", 0), ("c", 0)], [], {CircuitState.CLOSED})


async def test_an_open_circuit_lets_one_request_at_a_time_try_after_growing_delays():
    api = Api(works_at=12)
    await asyncio.gather(*(api.fetch(name) for name in "abc"))
    tries = [(name, round(at, 1)) for name, at in api.requests]
    assert tries[:3] == [("a", 0), ("b", 0), ("c", 0)]
    assert tries[3:7] == [("a", 1.1), ("b", 3.2), ("c", 7.3), ("a", 15.4)]  # in turn, none twice in a row
    assert sorted(tries[7:]) == [("b", 15.5), ("c", 15.5)]  # closed again: all the others together
    assert api.reports == [("nothing works", seconds) for seconds in (1, 2, 4, 8)]


async def test_it_is_open_before_a_trial_half_open_during_it_and_open_again_after_a_failure():
    api = Api(works_at=1.5)
    api.circuit.open("nothing works")
    assert api.circuit.state is CircuitState.OPEN
    async with api.circuit.attempt():
        assert api.circuit.state is CircuitState.HALF_OPEN
        api.circuit.open("still not")
    assert api.circuit.state is CircuitState.OPEN
    await api.fetch("a")
    assert (api.circuit.state, api.states) == (CircuitState.CLOSED, {CircuitState.OPEN, CircuitState.HALF_OPEN})


async def test_it_says_how_long_it_has_been_open_and_starts_its_delays_anew_the_next_time():
    api = Api(works_at=2)
    assert api.circuit.open_for is None
    api.circuit.open("nothing works")
    api.clock.advance(5)
    api.circuit.open("still not")
    assert (api.circuit.open_for, api.circuit.trips) == (5, 1)
    await api.fetch("a")
    assert (api.reports, api.circuit.open_for) == ([("still not", 1)], None)
    api.circuit.open("again")
    await api.fetch("a")
    assert (api.reports[1:], api.circuit.trips) == ([("again", 1)], 2)
