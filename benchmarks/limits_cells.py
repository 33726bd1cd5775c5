"""The rows of the limiter benchmark."""

from dataclasses import dataclass, replace

from import_pipeline.ratelimit import parse_tiers
from import_pipeline.rules.forecast import minimum_seconds

SCALED = "50/2 second; 200/10 second"
REAL = "500/20 second; 2000/100 second"
SHORT = "10/1 second"
LOWER = "40/2 second; 160/10 second"  #: 20% less than SCALED
WORKERS = 10
PAGES, DETAILS = 12, 1200  #: requests of the whole import


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A row of the table. `delay` is in milliseconds, before the arrival is counted and again before the response."""

    tiers: str = SCALED  #: the client's limits; empty: it must infer them
    requests: int = 1001
    processes: int = 1
    delay: int = 0
    jitter: int = 0
    storage: str = "redis"
    client: str = "ours"
    server_tiers: str = ""  #: the server's limits, if stricter than the client's
    headers: bool = False  #: the server sends its limits in headers
    workers: int = WORKERS
    whole_import: bool = False
    most_runs: int = 5

    def __str__(self) -> str:
        extra = f", server {self.server_tiers}" if self.server_tiers else ""
        headers = ", sent in headers" if self.headers else ""
        what = f"import of {PAGES} pages and {DETAILS} details" if self.whole_import else f"{self.requests} requests"
        return (
            f"{self.client}, {self.storage}, {self.tiers or 'no limits'}, {what}, {self.processes} processes, "
            f"{self.delay}+{self.jitter} ms{extra}{headers}"
        )

    @property
    def minimum(self) -> float:
        """The least possible seconds from the first to the last arrival.

        In an import, the first detail is known only after page one was answered, so all later requests come that much
        later.
        """
        requests = PAGES + DETAILS if self.whole_import else self.requests
        latency = (2 * self.delay + self.jitter) / 1000 if self.whole_import else 0.0
        return minimum_seconds(requests, parse_tiers(self.server_tiers or self.tiers)) + latency


def cells(storage: str, peers: list[str]) -> list[Cell]:
    """Return the whole table: this project's limiter, then other libraries against the same server."""
    jittery = Cell(processes=4, delay=20, jitter=50, storage=storage)
    scaled = [
        Cell(processes=processes, delay=delay, jitter=jitter, storage=storage)
        for delay, jitter in ((0, 0), (20, 50), (100, 50))
        for processes in (1, 4, 8)
    ]
    lower = Cell(server_tiers=LOWER, requests=801, processes=4, delay=20, storage=storage, most_runs=3)
    short = Cell(tiers=SHORT, requests=301, delay=100, storage=storage, most_runs=3)
    ours = [
        *scaled,
        replace(jittery, tiers=REAL, requests=2501, most_runs=3),
        replace(jittery, storage="sqlite" if storage == "redis" else "redis", most_runs=3),
        short,
        replace(short, processes=4),
        replace(short, processes=8),
        lower,
        replace(lower, headers=True),
        replace(lower, tiers=""),
        replace(lower, tiers="", headers=True),
        Cell(whole_import=True, delay=200, jitter=100, storage=storage, most_runs=3),
    ]
    return ours + [
        replace(jittery, processes=processes, client=client, most_runs=2)
        for client in peers
        for processes in processes_of(client)
    ]


def processes_of(peer: str) -> tuple[int, ...]:
    """Return the numbers of processes for a library. One that shares no state runs only in one."""
    return {"plain limits": (1, 4), "pyrate-limiter in SQLite": (2,), "tenacity": (1, 4)}.get(peer, (1,))


def quick_cells(storage: str) -> list[Cell]:
    """Return a table of about a minute: one process, four processes, and the library that this limiter is built on."""
    common = Cell(requests=401, delay=20, jitter=50, storage=storage, most_runs=1)
    return [common, replace(common, processes=4), replace(common, processes=4, client="plain limits")]
