"""Import each of the eight shapes of API with its example source, and with dlt's rest_api source where it can.

    make bench-install
    python benchmarks/shapes.py [--only NAME] [--scale 1.0]

Both programs read the same strict server under the same limits, twice: everything, then again without a change. dlt
has no rate limiter: it repeats what is refused by a 429. If it fails, a line without limits follows. `least` is the
shortest time that the limits allow for the requests that are needed. Seconds are from the first to the last request.
`lines` are the non-blank lines of the file.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

# Run as a script, this folder is first on the path, and limits.py would hide the library of that name.
ROOT = Path(__file__).parent.parent
sys.path[0] = str(ROOT)

import click
import httpx

from import_pipeline.ratelimit.endpoints import parse_limits
from import_pipeline.rules.forecast import minimum_seconds
from import_pipeline_tests.support.imports import served
from source_api.shapes import SHAPES, ShapeOptions

PROGRAMS = Path(__file__).parent / "peer_programs"
EXAMPLES = ROOT / "import_pipeline" / "examples" / "shapes"
DLT_PYTHON = ROOT / ".venv" / "bench" / "bin" / "python"
PAGE_COST = 102  # GraphQL: two units, and one for each of 100 items


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A shape to import. `sources` are imported one after the other."""

    module: str
    shape: str
    sources: tuple[str, ...]
    items: int
    limits: str
    page: int = 100
    options: Mapping[str, Any] = field(default_factory=dict)
    #: Kinds of requests -> the limits that they count in, if those are others than `limits`.
    own_limits: Mapping[str, str] = field(default_factory=dict)
    cost: int = 1

    def least(self, kinds: Mapping[str, int]) -> float:
        """Return the shortest time in seconds for requests of these kinds."""
        free = [number for kind, number in kinds.items() if kind not in (*self.own_limits, "token")]
        own = [least(kinds.get(kind, 0), limits) for kind, limits in self.own_limits.items()]
        return max([least(self.cost * sum(free), self.limits), *own])


CELLS = (
    Cell(module="link_header", shape="link_header", sources=("issues",), items=300, limits="40/1 second"),
    Cell(module="graphql", shape="graphql", sources=("orders",), items=3000, limits="500/1 second", cost=PAGE_COST),
    Cell(module="last_id", shape="last_id", sources=("customers",), items=3000, limits="5/1 second"),
    Cell(
        module="search",
        shape="search",
        sources=("contacts",),
        items=3000,
        limits="20/1 second",
        own_limits={"list": "5/1 second"},
    ),
    Cell(module="export", shape="export", sources=("tickets",), items=20_000, limits="4/1 second", page=1000),
    Cell(
        module="oauth",
        shape="oauth",
        sources=("accounts",),
        items=3000,
        limits="5/1 second",
        options={"token_seconds": 3},
    ),
    Cell(module="children", shape="children", sources=("tasks", "comments"), items=300, limits="40/1 second"),
    Cell(module="plain", shape="plain", sources=("stories",), items=300, limits="40/1 second"),
)


@click.command()
@click.option("--only", default="", help="Only the shapes whose name contains this.")
@click.option("--scale", default=1.0, show_default=True, help="Factor of the numbers of items.")
def main(only: str, scale: float) -> None:
    """Print the table."""
    heads = ("lines", "rows", "requests", "refused", "seconds", "least", "ratio", "again", "seconds")
    click.echo(f"{'shape':<12} {'program':<16}" + "".join(f"{head:>10}" for head in heads))
    for cell in CELLS:
        if only in cell.module and (EXAMPLES / f"{cell.module}.py").exists():
            measure(cell, "import_pipeline", int(cell.items * scale))
            if not measure(cell, "dlt", int(cell.items * scale)):
                measure(replace(cell, limits="none"), "dlt, no limits", int(cell.items * scale))
    click.echo(f"load average {os.getloadavg()[0]:.1f}; again: requests of a second import without changes")


def measure(cell: Cell, program: str, items: int) -> bool:
    """Import twice by a program, and print a line. Return False if it failed."""
    file = (EXAMPLES if program == "import_pipeline" else PROGRAMS / "dlt_shapes") / f"{cell.module}.py"
    if not file.exists():
        click.echo(f"{cell.module:<12} {program:<16}  not with its rest_api source")
        return True
    options = {"items": items, "limits": cell.limits, "page": cell.page, **cell.options}
    shape = SHAPES[cell.shape](ShapeOptions(**options))
    with tempfile.TemporaryDirectory() as folder, served(shape.app) as url:
        rows, first = run(cell, program, url, Path(folder))
        _, second = run(cell, program, url, Path(folder))
    least_seconds = cell.least(first["by_kind"])
    lines = sum(bool(line.strip()) for line in file.read_text().splitlines())
    ratio = f"{first['seconds'] / least_seconds:.2f}" if least_seconds else "-"
    cells = [lines, rows, first["requests"], first["refused"] + second["refused"], f"{first['seconds']:.1f}"]
    cells += [f"{least_seconds:.1f}", ratio, second["requests"], f"{second['seconds']:.1f}"]
    click.echo(f"{cell.module:<12} {program:<16}" + "".join(f"{each!s:>10}" for each in cells))
    return rows != "failed"


def run(cell: Cell, program: str, url: str, folder: Path) -> tuple[str, dict[str, Any]]:
    """Run a program once. Return the number of its rows, and the counters of the server."""
    if program != "import_pipeline":
        command = [str(DLT_PYTHON), str(PROGRAMS / "dlt_shape.py"), cell.module, url, str(folder)]
    else:
        command = [sys.executable, str(PROGRAMS / "our_shape.py"), cell.module, url, str(folder), cell.limits]
        command += [str(cell.page), *cell.sources]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    stats = httpx.get(f"{url}/_stats").json()
    httpx.post(f"{url}/_reset")
    lines = done.stdout.strip().splitlines()
    return lines[-1] if done.returncode == 0 and lines else "failed", stats


def least(units: int, limits: str) -> float:
    """Return the seconds from the first to the last of that many units in windows of the limits."""
    return minimum_seconds(units, parse_limits(limits)[""])


if __name__ == "__main__":
    main()
