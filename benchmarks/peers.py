"""Compare imported items per second without limits with other programs, in the same run.

    python benchmarks/peers.py [--items 3000] [--runs 2] [--only TEXT] [--folder DIR]

Each program reads the same demo API (a list of pages, then one request per item, no limits) and writes rows to a store
of its choice. The rows are compared with the data that the API served. This project also tracks every item in its
database. Each other program has a virtual environment in the folder, created once by pip with the versions below. The
programs take turns and share the machine's cores with the API (and Postgres). The best run of each counts.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

# Run as a script, this folder is first on the path, and limits.py would hide the library of that name.
sys.path[0] = str(Path(__file__).parent.parent)

import click
import httpx

from import_pipeline_tests.support.database_servers import PostgresServer
from source_api.items import seeded
from source_api.process import serve

PROGRAMS = Path(__file__).parent / "peer_programs"
OURS = "import_pipeline"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A program to measure. `requirement` is what pip installs for it; None: this project."""

    name: str
    program: str
    requirement: str | None = None
    postgres: bool = False


PEERS = (
    Peer(name=f"{OURS}, SQLite", program="ours.py"),
    Peer(name=f"{OURS}, Postgres", program="ours.py", postgres=True),
    Peer(name="Scrapy", program="scrapy_items.py", requirement="scrapy==2.19.0"),
    Peer(name="dlt", program="dlt_items.py", requirement="dlt[duckdb]==1.31.0"),
    Peer(name="Airbyte CDK", program="airbyte_items.py", requirement="airbyte-cdk==7.39.1"),
    Peer(name="crawlee", program="crawlee_items.py", requirement="crawlee==1.11.0"),
    Peer(name="bare aiohttp loop", program="aiohttp_items.py", requirement="aiohttp==3.14.5"),
)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One run. Rates are items per second: from the first to the last request, and over the whole program."""

    rate: float
    wall_rate: float
    cpu_ms: float  #: per item
    rss_mb: float
    missing: int
    wrong: int
    duplicates: int

    @property
    def faults(self) -> str:
        """The rows that are missing, wrong or stored twice, in words."""
        found = {"missing": self.missing, "wrong": self.wrong, "twice": self.duplicates}
        return ", ".join(f"{number} {name}" for name, number in found.items() if number) or "none"


@click.command()
@click.option("--items", default=3000, show_default=True, help="Number of items in the demo API.")
@click.option("--runs", default=2, show_default=True, help="Runs of each program; the best counts.")
@click.option("--only", default="", help="Only programs whose name contains this, besides this project.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Folder of the virtual environments.")
def main(items: int, runs: int, only: str, folder: Path | None) -> None:
    """Print the table."""
    folder = folder or Path(tempfile.gettempdir()) / "import_pipeline_peers"
    peers = [peer for peer in PEERS if peer.requirement is None or only.lower() in peer.name.lower()]
    pythons = {peer.name: python_of(peer, folder) for peer in peers}
    expected = {row[0]: (row[1], price_of(row[3])) for row in islice(seeded(1), items)}
    results: dict[str, list[Result]] = {peer.name: [] for peer in peers}
    for _ in range(runs):
        for peer in peers:
            result = measure(peer, pythons[peer.name], expected)
            click.echo(f"  {peer.name}: {result.rate:.0f} items/s, rows missing or wrong: {result.faults}", err=True)
            results[peer.name].append(result)
    best = {name: max(found, key=lambda each: each.rate) for name, found in results.items()}
    click.echo(f"{items} items, no limits, best of {runs}; load average {os.getloadavg()[0]:.1f}")
    heads = ("items/s", "whole run", "CPU ms/item", "RSS MB", "ours/its")
    click.echo(f"{'program':<28}" + "".join(f"{head:>13}" for head in heads) + "  faults")
    for name, each in best.items():
        ratios = "/".join(f"{best[own.name].rate / each.rate:.2f}" for own in PEERS if own.requirement is None)
        cells = (f"{each.rate:.0f}", f"{each.wall_rate:.0f}", f"{each.cpu_ms:.2f}", f"{each.rss_mb:.0f}", ratios)
        click.echo(f"{name:<28}" + "".join(f"{cell:>13}" for cell in cells) + f"  {each.faults}")
    click.echo("ours/its: our items/s on SQLite and on Postgres, over its own; items/s from first to last request")


def python_of(peer: Peer, folder: Path) -> str:
    """Return the interpreter of the program's environment, which is created if absent."""
    if peer.requirement is None:
        return sys.executable
    home = folder / peer.requirement.replace("[", "-").replace("]", "").replace("==", "-")
    python = home / "bin" / "python"
    if not (home / "installed").exists():
        click.echo(f"  installing {peer.requirement}", err=True)
        venv.create(home, with_pip=True, clear=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", peer.requirement], check=True
        )
        (home / "installed").touch()
    return str(python)


def measure(peer: Peer, python: str, expected: dict[int, tuple[str, str]]) -> Result:
    """Run the program once against a fresh API."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(serve("--limits", "none", "--items", str(len(expected))))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ITEMS_")}
        environment.pop("DATABASE_URL", None)
        if peer.postgres:
            environment["DATABASE_URL"] = stack.enter_context(PostgresServer()).create_database()
        wall, usage = run([python, str(PROGRAMS / peer.program), url, str(folder)], environment, folder)
        stats = httpx.get(f"{url}/_stats").json()
        rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    found = {row["id"]: (row["name"], price_of(row["price"])) for row in rows}
    return Result(
        rate=len(expected) / (stats["last_admitted"] - stats["first_admitted"]),
        wall_rate=len(expected) / wall,
        cpu_ms=1000 * (usage.ru_utime + usage.ru_stime) / len(expected),
        rss_mb=usage.ru_maxrss / 1024,
        missing=len(expected.keys() - found.keys()),
        wrong=sum(row != expected.get(number) for number, row in found.items()),
        duplicates=sum(number - 1 for number in Counter(row["id"] for row in rows).values()),
    )


def run(command: list[str], environment: dict[str, str], folder: Path) -> tuple[float, Any]:
    """Run a command. Return the seconds of wall time and the resource use of the process and its children."""
    with (folder / "output.txt").open("w") as output:
        begin = time.perf_counter()
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)  # wait4 has waited for it already
    if process.returncode != 0:
        raise click.ClickException(
            f"{command[1]} ended with {process.returncode}:\n{(folder / 'output.txt').read_text()[-2000:]}"
        )
    return wall, usage


def price_of(value: Any) -> str:
    """Return a price in one format, however it was stored."""
    return f"{Decimal(str(value)):.2f}"


if __name__ == "__main__":
    main()
