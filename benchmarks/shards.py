"""Measure an import shared by several processes: ratio to the least time, 429s, and details fetched twice.

    python benchmarks/shards.py [--items 1000] [--limits "50/2 second; 200/10 second"] [--workers 1,4]

Each line is a whole import from the strict demo API on this machine, shared by that number of processes; the last one
to finish ends it. The API counts arrivals, and answers 429 to the first request over the limit.
"""

import json
import os
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

from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.execution.shard_worker import execute_shard
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.run_import import run_import
from import_pipeline.tracking import imports
from source_api.process import serve


@click.command()
@click.option("--items", default=1000, show_default=True, help="Number of items in the demo API.")
@click.option("--limits", default="50/2 second; 200/10 second", show_default=True, help="The demo API's limits.")
@click.option("--latency", default=20, show_default=True, help="Milliseconds before each response.")
@click.option("--jitter", default=50, show_default=True, help="Random milliseconds in addition.")
@click.option("--workers", default="1,4", show_default=True, help="Numbers of processes, one run each.")
@click.option("--as-shard", type=int, hidden=True)
@click.option("--as-lead", is_flag=True, hidden=True)
def main(items: int, limits: str, latency: int, jitter: int, workers: str, as_shard: int | None, as_lead: bool) -> None:
    """Print a line per number of processes."""
    if as_lead:
        click.echo(json.dumps(run_import("items").as_json()))
        return
    if as_shard is not None:
        share(as_shard)
        return
    click.echo(f"{items} items, {limits}, {latency} ms + up to {jitter} ms of latency")
    click.echo(f"{'processes':>9}{'seconds':>10}{'ratio':>8}{'429s':>6}{'twice':>7}   requests by process")
    options = ("--items", str(items), "--limits", limits, "--delay-after", str(latency), "--jitter", str(jitter))
    for number in map(int, workers.split(",")):
        with serve(*options) as url, tempfile.TemporaryDirectory() as home:
            click.echo(line(number, measure(number, url, home, limits), httpx.get(f"{url}/_stats").json()))


def line(workers: int, summary: dict[str, Any], seen: dict[str, Any]) -> str:
    """Return one row of the table."""
    return (
        f"{workers:>9}{summary['duration_seconds']:>10.2f}{summary['ideal_ratio']:>8.4f}{seen['rate_limited']:>6}"
        f"{len(seen['repeated_details']):>7}   {summary['by_process']}"
    )


def measure(workers: int, url: str, home: str, limits: str) -> dict[str, Any]:
    """Run a whole import by that number of processes. Return its summary and the requests that each sent."""
    environment = {
        **os.environ,
        "IMPORT_PIPELINE_HOME": home,
        "ITEMS_BASE_URL": url,
        "ITEMS_LIMITS": limits,
        "ITEMS_SHARDS": str(workers),
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }
    shards = [start(environment, "--as-shard", str(number)) for number in range(2, workers + 1)]
    lead = start(environment, "--as-lead")
    said, _ = lead.communicate()
    by_shard = [int(shard.communicate()[0]) for shard in shards]
    summary: dict[str, Any] = json.loads(said)
    return summary | {"by_process": [summary["requests_count"] - sum(by_shard), *by_shard]}


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start this program again, as one of the processes."""
    command = [sys.executable, __file__, *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def share(number: int) -> None:
    """Work as the shard of that number once the import has begun."""
    with open_installation() as installation:
        source = installation.source("items")
        while True:
            with installation.database.read() as connection:
                row = imports.running(connection, "items")
            if row is not None and row.checkpoint is not None:
                break
            time.sleep(0.02)
        ending = execute_shard(ImportRun(installation=installation, source=source), row.id, number)
        click.echo(ending.shard.requests_count)


if __name__ == "__main__":
    main()
