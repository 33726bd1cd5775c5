"""While nothing works, one at a time tries."""

import asyncio

import pytest

from import_pipeline.importer.runtime.circuit import Circuit
from import_pipeline.testing import FakeClock

pytestmark = pytest.mark.anyio


class Api:
    """Works from a moment on; everybody asks through the gate until it does."""

    def __init__(self, works_at):
        self.clock = FakeClock()
        self.works_at = works_at
        self.told = []
        self.asked = []
        self.circuit = Circuit(self.clock, lambda: 0.0, self.tell)

    async def tell(self, reason, seconds):
        self.told.append((reason, seconds))

    async def fetch(self, name):
        while True:
            async with self.circuit.attempt():
                self.asked.append((name, self.clock.monotonic()))
                await self.clock.sleep(0.1)
                works = self.clock.monotonic() >= self.works_at
            if works:
                self.circuit.close()
                return name
            self.circuit.open("nothing works")


async def test_an_open_gate_lets_everybody_pass_at_once():
    api = Api(works_at=0)
    assert await asyncio.gather(*(api.fetch(name) for name in "abc")) == ["a", "b", "c"]
    assert (api.asked, api.told) == ([("a", 0), ("b", 0), ("c", 0)], [])


async def test_a_closed_one_lets_one_at_a_time_try_after_longer_and_longer_waits():
    api = Api(works_at=12)
    await asyncio.gather(*(api.fetch(name) for name in "abc"))
    tries = [(name, round(at, 1)) for name, at in api.asked]
    assert tries[:3] == [("a", 0), ("b", 0), ("c", 0)]
    assert tries[3:7] == [("a", 1.1), ("b", 3.2), ("c", 7.3), ("a", 15.4)]  # nobody is asked for twice in a row
    assert sorted(tries[7:]) == [("b", 15.5), ("c", 15.5)]  # it works again: all the others at once
    assert api.told == [("nothing works", seconds) for seconds in (1, 2, 4, 8)]


async def test_it_tells_how_long_it_has_been_closed_and_begins_anew_the_next_time():
    api = Api(works_at=2)
    assert api.circuit.open_for is None
    api.circuit.open("nothing works")
    api.clock.advance(5)
    api.circuit.open("still not")
    assert (api.circuit.open_for, api.circuit.trips) == (5, 1)
    await api.fetch("a")
    assert (api.told, api.circuit.open_for) == ([("still not", 1)], None)
    api.circuit.open("again")
    await api.fetch("a")
    assert (api.told[1:], api.circuit.trips) == ([("again", 1)], 2)
