"""Test helpers for your own source: a clock that you move, canned responses, permits without a store.

clock = FakeClock()
transport = CannedTransport({"/api/items/1": {"id": 1}, "/api/items/2": httpx.Response(404)})
async with Limiter("items", parse_tiers("5/10 second"), MemoryPermits(clock), clock=clock) as limiter:
    client = httpx.AsyncClient(transport=RateLimitedTransport(transport, limiter), base_url="https://api.test")

rehearsal = rehearse(OrdersSource(), CannedTransport(answer), tmp_path)   # a whole import, without any API
assert rehearsal.rows["17"]["name"] == "lamp"
"""

import asyncio
import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from import_pipeline.conformance import NotConformant, check_conformance
from import_pipeline.conformance.rehearsal import import_through, rehearsal_settings, rows_and_failures
from import_pipeline.contracts import ImportSource
from import_pipeline.declarative import RestSource
from import_pipeline.declarative.files import load_file
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.run_import import refuse_running_loop
from import_pipeline.importer.source_loader import configure
from import_pipeline.importer.summary import ImportSummary
from import_pipeline.ratelimit.stores.memory import MemoryPermits

__all__ = [
    "CannedTransport",
    "FakeClock",
    "MemoryPermits",
    "NotConformant",
    "Rehearsal",
    "check_conformance",
    "declared_in",
    "rehearse",
]

#: Turns of the event loop without a change after which all tasks count as asleep. Time would overtake a task that needs
#: more turns.
IDLE_TURNS = 50


class FakeClock:
    """A clock that moves only when all its users sleep: then it jumps to the earliest wake-up.

    Nothing waits in real time. `sleeps` lists the requested sleeps in order. `advance()` moves the clock by hand.
    """

    def __init__(self, now: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self._start = now
        self._elapsed = 0.0
        self._wake_ups: list[tuple[float, int]] = []
        self._count = 0
        self._changes = 0  # wake-ups and new sleepers; each restarts the count of quiet turns
        self.sleeps: list[float] = []

    def now(self) -> datetime:
        """Return the wall-clock time, aware and in UTC."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Return the seconds since the clock was created."""
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Move the clock. Shorter sleeps end at the next turn of the event loop."""
        self._elapsed += seconds
        self._changes += 1

    async def sleep(self, seconds: float) -> None:
        """Return once the clock has moved that far; zero or less yields to other tasks once."""
        self.sleeps.append(seconds)
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        self._count += 1
        self._changes += 1
        wake_up = (self._elapsed + seconds, self._count)
        heapq.heappush(self._wake_ups, wake_up)
        try:
            while self._elapsed < wake_up[0]:
                if await self._is_quiet() and self._wake_ups[0] == wake_up:
                    self.advance(wake_up[0] - self._elapsed)
                    self._elapsed = max(self._elapsed, wake_up[0])  # the sum may fall short by rounding
        finally:
            self._wake_ups.remove(wake_up)
            heapq.heapify(self._wake_ups)

    async def _is_quiet(self) -> bool:
        before = self._changes
        for _ in range(IDLE_TURNS):
            await asyncio.sleep(0)
            if self._changes != before:
                return False
        return True


Answer = httpx.Response | Exception | Mapping[str, Any] | list[Any]


class CannedTransport(httpx.AsyncBaseTransport):
    """Respond from a table by path, with or without its query, or from a function of the request.

    A mapping or a list is sent as JSON, an exception is raised, a response is sent unchanged. A function is called for
    each request. An unknown path gets a 404 that names the known ones; a KeyError of the function becomes a LookupError
    that names the request. `requests` lists all received requests.
    """

    def __init__(self, answers: Mapping[str, Answer] | Callable[[httpx.Request], Answer]) -> None:
        self._answers = answers
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the canned response."""
        self.requests.append(request)
        answer = self._answer(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):  # a copy, since a response can be read only once
            return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))
        return httpx.Response(200, json=answer)

    def _answer(self, request: httpx.Request) -> Answer:
        path = request.url.raw_path.decode()
        nothing = f"no canned answer for {request.method} {path}"
        if callable(self._answers):
            try:
                return self._answers(request)
            except KeyError as error:
                raise LookupError(f"{nothing}: the function of responses has no {error}") from error
        missing = httpx.Response(404, json={"message": f"{nothing}; there are {', '.join(self._answers) or 'none'}"})
        return self._answers.get(path, self._answers.get(request.url.path, missing))


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """The result of a rehearsed import."""

    summary: ImportSummary
    rows: Mapping[str, Mapping[str, Any]]  #: external id -> the row's columns
    failures: Mapping[str, str]  #: external id -> why it failed permanently


def rehearse(
    source: ImportSource,
    transport: httpx.AsyncBaseTransport,
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Rehearsal:
    """Run a whole import of the source with responses from the transport, into a database in that folder.

    No request leaves the process: the base URL is https://api.test. Limits and retry delays are practically off, and a
    pause that an answer asks for takes a twentieth of its time.
    `environment` has further variables, such as secrets of the source; absent secrets have a made-up value.
    Raises ContractError if the source breaks its contract, and UsageError inside a running event loop.
    """
    refuse_running_loop("rehearse")
    settings = rehearsal_settings([source], folder, environment or {}, limits="100000/1 second")
    with open_installation(settings, configure([source], settings)) as installation:
        summary = import_through(installation, source.name, transport)
        rows, failures = rows_and_failures(installation, installation.sources[0].model, summary)
    return Rehearsal(summary=summary, rows=rows, failures=failures)


def declared_in(file: str | Path, **environment: str) -> list[RestSource]:
    """Return the sources that a YAML file declares. `environment` has the variables that the file names.

    Raises SourceNotFound or ContractError, which name the file and the key.
    """
    return load_file(Path(file), environment)
