"""The circuit of an import: while the API is in trouble, one request at a time tries, after growing waits."""

import asyncio
from collections.abc import Awaitable, Callable

from import_pipeline.clock import Clock, Random
from import_pipeline.rules.backoff import retry_delay
from import_pipeline.rules.circuit_breaker import CircuitState

#: Seconds before each trial; the last serves all further ones.
DELAYS = (1.0, 2.0, 4.0, 8.0, 15.0)


class Circuit:
    """Lets all requests pass while closed. While open it makes them wait, and lets one at a time try (half-open).

    Before each trial, `report` gets the reason why the circuit is open and the seconds until the trial. Opening and
    closing are decided outside: by `rules.circuit_breaker`, or by connections that fail.
    """

    def __init__(self, clock: Clock, chance: Random, report: Callable[[str, float], Awaitable[object]]) -> None:
        self._clock = clock
        self._chance = chance
        self._report = report
        self._turn = asyncio.Lock()
        self._reason = ""
        self._opened_at: float | None = None
        self._trials = 0
        self._is_trying = False
        self.trips = 0  #: how often it has opened

    @property
    def state(self) -> CircuitState:
        """The state now; a circuit whose trial failed is open again."""
        if self._opened_at is None:
            return CircuitState.CLOSED
        return CircuitState.HALF_OPEN if self._is_trying else CircuitState.OPEN

    @property
    def open_for(self) -> float | None:
        """Seconds since the circuit opened; None while it is closed."""
        return None if self._opened_at is None else self._clock.monotonic() - self._opened_at

    def open(self, reason: str) -> None:
        """Open the circuit, or replace the reason of an open one."""
        self._reason = reason
        if self._opened_at is None:
            self._opened_at = self._clock.monotonic()
            self._trials = 0
            self.trips += 1

    def close(self) -> None:
        """Close the circuit: all requests pass again."""
        self._opened_at = None

    def attempt(self) -> "Attempt":
        """Hold the permission to send for the block. Unless the circuit is closed, wait for the turn to try."""
        return Attempt(self)

    async def begin_trial(self) -> bool:
        """Wait for the turn to try. Return False if the circuit is closed: then all pass together."""
        if self._opened_at is None:
            return False
        await self._turn.acquire()  # first come, first served
        try:
            if self._opened_at is not None:  # else a trial has closed it
                await self._wait()
                self._is_trying = True
        finally:
            if not self._is_trying:
                self._turn.release()
        return self._is_trying

    def end_trial(self) -> None:
        """End a trial, whatever came of it."""
        self._is_trying = False
        self._turn.release()

    async def _wait(self) -> None:
        self._trials += 1
        seconds = retry_delay(self._trials, DELAYS, self._chance()).total_seconds()
        await self._report(self._reason, seconds)
        await self._clock.sleep(seconds)


class Attempt:
    """The block that `Circuit.attempt` holds a permission for."""

    __slots__ = ("_circuit", "_is_trial")

    def __init__(self, circuit: Circuit) -> None:
        self._circuit, self._is_trial = circuit, False

    async def __aenter__(self) -> None:
        if self._circuit.state is not CircuitState.CLOSED:
            self._is_trial = await self._circuit.begin_trial()

    async def __aexit__(self, *_: object) -> None:
        if self._is_trial:
            self._circuit.end_trial()
