"""Measure the limiter: its time compared with the theoretical minimum, and the number of 429s.

    python benchmarks/limits.py [--quick] [--runs N] [--storage redis|sqlite] [--cell TEXT]
    python benchmarks/limits.py soak

Each run starts a strict demo API and sends k x n + 1 requests, so that the time of the last burst is not counted. One
or more processes of ten workers send them. The ratio compares the time from the first to the last arrival with the
least possible one. All processes share the machine's cores. Runs are appended to benchmarks/results/limits.jsonl: first
one of each row, then the second of each. A row with enough runs is skipped, so an interrupted table can be continued.
Other libraries take part if they are installed.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __package__ in (None, ""):  # run as a script: limits.py must not hide the library of that name
    sys.path[0] = str(HERE.parent)

import importlib.util
import json
import statistics
import tempfile
import time
from dataclasses import asdict
from typing import Any

import click

from benchmarks.limits_cells import Cell, cells, quick_cells
from benchmarks.limits_peers import PEERS
from benchmarks.limits_runs import run, store
from import_pipeline.ratelimit import open_permits
from import_pipeline.ratelimit.protocol import SECOND, ExchangeRequest, Outcome, PermitRequest, Settlement

RESULTS = HERE / "results" / "limits.jsonl"
MODULES = {"pyrate-limiter": "pyrate_limiter", "pyrate-limiter in SQLite": "pyrate_limiter"}
HEADING = " median  range              429s per run    calls  CPU ms  (calls to the store and CPU per request)"
SOAK = Cell(tiers="2000/1 second; 8000/5 second", requests=100_001, processes=2, workers=50, most_runs=1)


def cost_of_a_permit(storage: str, at_once: int, rounds: int = 2000) -> float:
    """Return the microseconds per permit, if `at_once` permits are requested and settled together.

    Only the network to the store is involved.
    """
    with store(storage) as redis_url, tempfile.TemporaryDirectory() as folder:
        permits = open_permits(redis_url, Path(folder) / "limits.db")
        tiers = ((2_000_000, 20 * SECOND), (20_000_000, 100 * SECOND))
        settled: tuple[Settlement, ...] = ()
        began = time.perf_counter()
        for turn in range(rounds):
            names = [f"{turn}.{number}" for number in range(at_once)]
            wanted = tuple(PermitRequest(permit=name, lifetime=30 * SECOND) for name in names)
            permits.exchange(ExchangeRequest(api="cost", process="1", tiers=tiers, settled=settled, wanted=wanted))
            settled = tuple(Settlement(permit=name, outcome=Outcome.ANSWERED) for name in names)
        spent = time.perf_counter() - began
        permits.close()
    return spent / rounds / at_once * 1e6


def installed_peers() -> list[str]:
    """Return the libraries that this environment has; print the names of the others."""
    known = {peer: MODULES.get(peer, peer) for peer in PEERS if peer not in ("plain limits", "pacer")}
    missing = sorted(peer for peer, module in known.items() if importlib.util.find_spec(module) is None)
    if missing:
        click.echo(f"not installed, so not compared: {', '.join(missing)} (make bench-install)")
    return [peer for peer in PEERS if peer not in missing]


def earlier_runs(cell: Cell) -> list[dict[str, Any]]:
    """Return the runs of this cell in the results file."""
    if not RESULTS.exists():
        return []
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    return [row for row in rows if row["cell"] == asdict(cell)]


def keep(row: dict[str, Any]) -> None:
    """Append a run to the results file."""
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as results:
        results.write(json.dumps(row) + "\n")


def line(cell: Cell, rows: list[dict[str, Any]]) -> str:
    """Return a row of the table."""
    ratios = [row["ratio"] for row in rows]
    refused = "/".join(str(row["rate_limited"]) for row in rows)
    last = rows[-1]
    return (
        f"{statistics.median(ratios):7.4f}  {min(ratios):7.4f} - {max(ratios):7.4f}  {refused:>14}  "
        f"{last['asks_per_request']:5.2f}  {last['cpu_ms_per_request']:6.2f}  {cell}  shares {last['shares']}"
    )


def run_once(cell: Cell) -> dict[str, Any]:
    """Run the cell once, with a new store."""
    with store(cell.storage) as redis_url:
        return run(cell, redis_url)


@click.group(invoke_without_command=True)
@click.option("--quick", is_flag=True, help="Three cells, one run each.")
@click.option("--runs", default=5, show_default=True, help="Runs per cell, counting those in the results file.")
@click.option("--storage", default="redis", type=click.Choice(["redis", "sqlite"]), show_default=True)
@click.option("--cell", "wanted", default="", help="Only cells whose name contains this.")
@click.option("--cost/--no-cost", default=True, help="Measure the cost of a permit first.")
@click.pass_context
def main(context: click.Context, *, quick: bool, runs: int, storage: str, wanted: str, cost: bool) -> None:
    """Run the table: print each run as it ends, then the whole table."""
    if context.invoked_subcommand is not None:
        return
    if cost:
        for each in ("redis", "sqlite"):
            spent = ", ".join(f"{cost_of_a_permit(each, n):.0f} us at {n} at once" for n in (1, 10))
            click.echo(f"a permit in {each}: {spent}")
    table = quick_cells(storage) if quick else cells(storage, installed_peers())
    table = [cell for cell in table if wanted in str(cell)]
    known = {cell: [] if quick else earlier_runs(cell) for cell in table}
    click.echo(HEADING)
    for turn in range(1 if quick else runs):
        for cell in table:
            if len(known[cell]) <= turn < cell.most_runs:
                known[cell].append(run_once(cell))
                keep(known[cell][-1])
                click.echo(line(cell, known[cell][-1:]))
    click.echo(f"\nThe whole table\n{HEADING}")
    for cell, rows in known.items():
        if rows:
            click.echo(line(cell, rows))


@main.command()
@click.option("--storage", default="redis", type=click.Choice(["redis", "sqlite"]), show_default=True)
@click.option("--requests", default=SOAK.requests, show_default=True)
def soak(*, storage: str, requests: int) -> None:
    """Send a hundred thousand requests to a fast strict server: expect no 429 and constant memory."""
    cell = Cell(
        tiers=SOAK.tiers,
        requests=requests,
        processes=SOAK.processes,
        workers=SOAK.workers,
        storage=storage,
        most_runs=1,
    )
    row = run_once(cell)
    keep(row)
    click.echo(f"{HEADING}\n{line(cell, [row])}")
    for early, late in row["rss_mb"]:
        click.echo(f"memory of a process: {early} MB at 10,000 requests, {late} MB at the end")


if __name__ == "__main__":
    main()
