"""How close to the theoretical minimum is the limiter, and how many 429s does it get?

    python benchmarks/limits.py [--quick] [--runs N] [--storage redis|sqlite] [--cell TEXT]

Every run starts a strict demo API, sends k x n + 1 requests (so that draining the last burst is not counted) from one
or more processes of ten workers, and compares the time from the first to the last arrival with the least possible one.
All share the machine's cores. Runs are appended to benchmarks/results/limits.jsonl; a cell that has enough is not run.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __package__ in (None, ""):  # run as a file: this folder's limits.py must not hide the library of that name
    sys.path[0] = str(HERE.parent)

import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import click
import httpx

from benchmarks.limits_clients import Task, process
from import_pipeline.ratelimit import open_permits, parse_tiers
from import_pipeline.ratelimit.exchange import SECOND, Ask, Outcome, Settled, Wanted
from import_pipeline.rules.forecast import minimum_seconds
from import_pipeline_tests.servers import RedisServer
from source_api.process import serve

RESULTS = HERE / "results" / "limits.jsonl"
SCALED = "50/2 second; 200/10 second"
REAL = "500/20 second; 2000/100 second"
SHORT = "10/1 second"
WORKERS = 10
PEERS = ("plain limits", "script", "pacer")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A row of the table. Delays are milliseconds, before the arrival is counted and again before the answer."""

    tiers: str = SCALED
    requests: int = 1001
    processes: int = 1
    delay: int = 0
    jitter: int = 0
    storage: str = "redis"
    client: str = "ours"
    server_tiers: str = ""  #: where the server is stricter than the client believes
    headers: bool = False  #: whether the server tells its limits
    workers: int = WORKERS

    def __str__(self) -> str:
        extra = f", server {self.server_tiers}" if self.server_tiers else ""
        told = ", told in headers" if self.headers else ""
        return (
            f"{self.client}, {self.storage}, {self.tiers}, {self.requests} requests, {self.processes} processes, "
            f"{self.delay}+{self.jitter} ms{extra}{told}"
        )

    @property
    def minimum(self) -> float:
        """The least possible seconds from the first to the last arrival."""
        return minimum_seconds(self.requests, parse_tiers(self.server_tiers or self.tiers))


def cells(storage: str) -> list[Cell]:
    """The whole table: ours, then peers on the same server."""
    latencies = ((0, 0), (20, 50), (100, 50))
    ours = [
        Cell(processes=processes, delay=delay, jitter=jitter, storage=storage)
        for delay, jitter in latencies
        for processes in (1, 4, 8)
    ]
    ours += [
        Cell(tiers=REAL, requests=2501, processes=4, delay=20, jitter=50, storage=storage),
        Cell(tiers=SHORT, requests=301, processes=1, delay=100, storage=storage),
        Cell(tiers=SHORT, requests=301, processes=4, delay=100, storage=storage),
        Cell(server_tiers="40/2 second; 160/10 second", requests=801, processes=4, delay=20, storage=storage),
        Cell(
            server_tiers="40/2 second; 160/10 second",
            requests=801,
            processes=4,
            delay=20,
            storage=storage,
            headers=True,
        ),
    ]
    peers = [Cell(processes=1, delay=20, jitter=50, storage=storage, client=client) for client in PEERS]
    peers += [Cell(processes=4, delay=20, jitter=50, storage=storage, client=client) for client in PEERS[:2]]
    return ours + peers


def quick_cells(storage: str) -> list[Cell]:
    """A minute: one process, four processes, and the peer that ours is built on."""
    common: dict[str, Any] = {"requests": 401, "delay": 20, "jitter": 50, "storage": storage}
    return [
        Cell(processes=1, **common),
        Cell(processes=4, **common),
        Cell(processes=4, client="plain limits", **common),
    ]


def run(cell: Cell, redis_url: str | None) -> dict[str, Any]:
    """One run of a cell against a fresh server."""
    options = ["--limits", cell.server_tiers or cell.tiers, "--delay-before", str(cell.delay)]
    options += ["--delay-after", str(cell.delay), "--jitter", str(cell.jitter)]
    options += [] if cell.headers else ["--no-headers"]
    with serve(*options) as url, tempfile.TemporaryDirectory() as folder:
        task = Task(
            client=cell.client,
            url=url,
            tiers=cell.tiers,
            redis_url=redis_url,
            sqlite_path=str(Path(folder) / "limits.db"),
            workers=cell.workers,
        )
        counters = run_processes(task, cell)
        stats = httpx.get(f"{url}/_stats").json()
    measured = stats["last_admitted"] - stats["first_admitted"]
    sent = [counter["sent"] for counter in counters]
    return {
        "cell": asdict(cell),
        "measured_seconds": round(measured, 3),
        "minimum_seconds": cell.minimum,
        "ratio": round(measured / cell.minimum, 5),
        "rate_limited": stats["rate_limited"],
        "admitted": stats["admitted"],
        "asks_per_request": round(sum(counter.get("asks", 0) for counter in counters) / cell.requests, 3),
        "cpu_ms_per_request": round(1000 * sum(counter["cpu"] for counter in counters) / cell.requests, 3),
        "shares": sorted(int(each) for each in sent),
    }


def run_processes(task: Task, cell: Cell) -> list[dict[str, float]]:
    """Start the processes together and wait for what they counted."""
    context = multiprocessing.get_context("spawn")
    left, results = context.Value("i", cell.requests), context.Queue()
    start = context.Barrier(cell.processes)
    children = [context.Process(target=process, args=(task, left, start, results)) for _ in range(cell.processes)]
    for child in children:
        child.start()
    counters = [results.get(timeout=cell.minimum * 5 + 120) for _ in children]
    for child in children:
        child.join()
    return counters


@contextmanager
def store(storage: str) -> Iterator[str | None]:
    """The address of an own, empty Redis-compatible server; None for SQLite."""
    if storage == "sqlite":
        yield None
        return
    with RedisServer() as server:
        yield server.url()


def cost_of_a_permit(storage: str, at_once: int, rounds: int = 2000) -> float:
    """Microseconds per permit, asked for and settled `at_once`, without any network but the store's."""
    with store(storage) as redis_url, tempfile.TemporaryDirectory() as folder:
        permits = open_permits(redis_url, Path(folder) / "limits.db")
        tiers = ((2_000_000, 20 * SECOND), (20_000_000, 100 * SECOND))
        settled: tuple[Settled, ...] = ()
        began = time.perf_counter()
        for turn in range(rounds):
            names = [f"{turn}.{number}" for number in range(at_once)]
            wanted = tuple(Wanted(permit=name, lifetime=30 * SECOND) for name in names)
            permits.exchange(Ask(api="cost", process="1", tiers=tiers, settled=settled, wanted=wanted))
            settled = tuple(Settled(permit=name, outcome=Outcome.ANSWERED) for name in names)
        spent = time.perf_counter() - began
        permits.close()
    return spent / rounds / at_once * 1e6


def earlier_runs(cell: Cell) -> list[dict[str, Any]]:
    """The runs of that cell that stand in the results file."""
    if not RESULTS.exists():
        return []
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    return [row for row in rows if row["cell"] == asdict(cell)]


def line(cell: Cell, rows: list[dict[str, Any]]) -> str:
    """A row of the table."""
    ratios = [row["ratio"] for row in rows]
    refused = "/".join(str(row["rate_limited"]) for row in rows)
    last = rows[-1]
    return (
        f"{statistics.median(ratios):7.4f}  {min(ratios):7.4f} - {max(ratios):7.4f}  {refused:>14}  "
        f"{last['asks_per_request']:5.2f}  {last['cpu_ms_per_request']:6.2f}  {cell}  shares {last['shares']}"
    )


@click.command()
@click.option("--quick", is_flag=True, help="Three cells, one run each.")
@click.option("--runs", default=5, show_default=True, help="Runs per cell, counting those in the results file.")
@click.option("--storage", default="redis", type=click.Choice(["redis", "sqlite"]), show_default=True)
@click.option("--cell", "wanted", default="", help="Only cells whose name contains this.")
@click.option("--cost/--no-cost", default=True, help="Measure the cost of a permit first.")
def main(*, quick: bool, runs: int, storage: str, wanted: str, cost: bool) -> None:
    """Run the table, one line per cell."""
    if cost:
        each = ", ".join(f"{cost_of_a_permit(storage, n):.0f} us at {n} at once" for n in (1, 10))
        click.echo(f"a permit in {storage}: {each}")
    click.echo(" median  range              429s per run    calls  CPU ms  (calls to the store and CPU per request)")
    for cell in quick_cells(storage) if quick else cells(storage):
        if wanted not in str(cell):
            continue
        rows = [] if quick else earlier_runs(cell)
        while len(rows) < (1 if quick else runs):
            with store(storage) as redis_url:
                rows.append(run(cell, redis_url))
            RESULTS.parent.mkdir(exist_ok=True)
            with RESULTS.open("a") as results:
                results.write(json.dumps(rows[-1]) + "\n")
        click.echo(line(cell, rows))


if __name__ == "__main__":
    main()
