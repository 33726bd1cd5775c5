"""Measure the speed of an import without limits, and the CPU time of each of its parts.

    python benchmarks/throughput.py [--items 2000] [--concurrency 10]

Each part runs in a separate process against the same demo API, which shares the machine's cores. The parts are the bare
client, the client behind the limiter (no tiers), a whole import without Dagster, a whole import as a Dagster run of a
source in buckets of 500, and the latter with a partition per item. The cost of a part is the difference to the part
before it.
"""

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Run as a script, this folder is first on the path, and limits.py would hide the library of that name.
sys.path[0] = str(Path(__file__).parent.parent)

import click
import httpx

from import_pipeline import run_import
from import_pipeline.clock import SystemClock
from import_pipeline.importer.runtime.api_client import open_api
from import_pipeline.importer.source_loader import load_sources
from import_pipeline.ratelimit.http.aiohttp_transport import open_connections
from import_pipeline.settings import load_settings
from source_api.process import serve

PARTS = ("client", "limiter", "import", "buckets", "dagster")
MEANINGS = {
    "client": "client",
    "limiter": "limiter (pauses and counters)",
    "import": "database and tracking",
    "buckets": "Dagster: start, run, 500 items an event",
    "dagster": "Dagster: an event per item",
}


@click.command()
@click.option("--items", default=2000, show_default=True, help="Number of items in the demo API.")
@click.option("--concurrency", default=10, show_default=True, help="Detail requests in flight.")
@click.option("--part", type=click.Choice(PARTS), hidden=True)
def main(items: int, concurrency: int, part: str | None) -> None:
    """Print items/s and CPU milliseconds per item, for each part."""
    if part is not None:
        click.echo(json.dumps(measure(part, items, concurrency)))
        return
    with serve("--limits", "none", "--items", str(items)) as url:
        results = {name: run_part(name, url, items, concurrency) for name in PARTS}
    click.echo(f"{items} items, {concurrency} at a time, no limits; the server shares the cores")
    click.echo(f"{'part':<40}{'items/s':>10}{'CPU ms/item':>14}{'share':>8}")
    whole, before = results["dagster"]["cpu_seconds"], 0.0
    for name in PARTS:
        own = results[name]["cpu_seconds"] - before
        before = results[name]["cpu_seconds"]
        rate = items / results[name]["seconds"]
        click.echo(f"{MEANINGS[name]:<40}{rate:>10.0f}{1000 * own / items:>14.3f}{own / whole:>8.0%}")
    for name in ("buckets", "dagster"):
        run = results[name]
        click.echo(
            f"{MEANINGS[name]}: {items / run['seconds']:.0f} items/s from started_at to ended_at, "
            f"{run['wall_seconds']:.1f} s of wall time with Dagster's start and its report, "
            f"{1000 * run['cpu_seconds'] / items:.2f} ms of CPU per item"
        )


def run_part(part: str, url: str, items: int, concurrency: int) -> dict[str, Any]:
    """Measure one part in a fresh process with fresh state."""
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ,
            "IMPORT_PIPELINE_HOME": home,
            "ITEMS_BASE_URL": url,
            "ITEMS_CONCURRENCY": str(concurrency),
            "IMPORT_PIPELINE_SOURCES": f"benchmarks.unlimited:{'IN_BUCKETS' if part == 'buckets' else 'SOURCES'}",
            "PYTHONPATH": str(Path(__file__).parent.parent),
        }
        command = [sys.executable, __file__, "--part", part, "--items", str(items), "--concurrency", str(concurrency)]
        started = time.perf_counter()
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        wall = time.perf_counter() - started
    return json.loads(done.stdout.splitlines()[-1]) | {"wall_seconds": wall}


def measure(part: str, items: int, concurrency: int) -> dict[str, float]:
    """Return the seconds of wall time and CPU time of one part, in this process."""
    before = cpu_seconds()
    if part == "client":
        seconds = asyncio.run(bare(items, concurrency))
    elif part == "limiter":
        seconds = asyncio.run(limited(items, concurrency))
    elif part == "import":
        seconds = run_import("items").duration_seconds
    else:
        seconds = through_dagster()
    return {"seconds": seconds, "cpu_seconds": cpu_seconds() - before}


def cpu_seconds() -> float:
    """Return the CPU time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def through_dagster() -> float:
    """Import as the command line does; discard its output."""
    from import_pipeline.cli.commands import run_in_foreground
    from import_pipeline.importer.installation import open_installation

    with open_installation() as installation:
        return run_in_foreground(installation, "items", show=False).duration_seconds


async def bare(items: int, concurrency: int) -> float:
    """Fetch every detail through the same connections, without anything else."""
    settings = load_settings()
    url = settings.source("items").base_url or ""
    async with httpx.AsyncClient(base_url=url, transport=open_connections(100)) as client:

        async def send(number: int) -> None:
            (await client.get(f"/api/items/{number}")).json()

        return await in_turns(send, items, concurrency)


async def limited(items: int, concurrency: int) -> float:
    """Fetch every detail through the limiter."""
    settings = load_settings()
    (source,) = load_sources(settings)
    async with open_api(source, settings, SystemClock()) as api:

        async def send(number: int) -> None:
            (await api.send(httpx.Request("GET", f"/api/items/{number}"))).json()

        return await in_turns(send, items, concurrency)


async def in_turns(send: Any, items: int, concurrency: int) -> float:
    """Return the seconds that this number of tasks takes for all items."""
    numbers = iter(range(1, items + 1))

    async def work() -> None:
        for number in numbers:
            await send(number)

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
