"""One run of a row of the limiter benchmark: a fresh strict server, and the processes that send."""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx

from benchmarks.limits_cells import DETAILS, PAGES, Cell
from benchmarks.limits_clients import process
from benchmarks.limits_task import Task
from import_pipeline_tests.support.database_servers import RedisServer
from source_api.process import serve

IMPORT = "import json; from import_pipeline import run_import; print(json.dumps(run_import('items').as_json()))"


@contextmanager
def store(storage: str) -> Iterator[str | None]:
    """Yield the URL of a new, empty Redis-compatible server; None for SQLite."""
    if storage == "sqlite":
        yield None
        return
    with RedisServer() as server:
        yield server.url()


def run(cell: Cell, redis_url: str | None) -> dict[str, Any]:
    """Run the cell once against a fresh server."""
    options = ["--limits", cell.server_tiers or cell.tiers, "--delay-before", str(cell.delay)]
    options += ["--delay-after", str(cell.delay), "--jitter", str(cell.jitter)]
    options += [] if cell.headers else ["--no-headers"]
    options += ["--items", str(DETAILS)] if cell.whole_import else []
    with serve(*options) as url, tempfile.TemporaryDirectory() as folder:
        carry_out = run_import if cell.whole_import else run_processes
        counters = carry_out(cell, url, redis_url, folder)
        stats = httpx.get(f"{url}/_stats").json()
    measured = stats["last_admitted"] - stats["first_admitted"]
    requests = PAGES + DETAILS if cell.whole_import else cell.requests
    return {
        "cell": asdict(cell),
        "measured_seconds": round(measured, 3),
        "minimum_seconds": cell.minimum,
        "ratio": round(measured / cell.minimum, 5),
        "rate_limited": stats["rate_limited"],
        "admitted": stats["admitted"],
        "asks_per_request": round(sum(counter.get("asks", 0) for counter in counters) / requests, 3),
        "cpu_ms_per_request": round(1000 * sum(counter["cpu"] for counter in counters) / requests, 3),
        "shares": sorted(int(counter["sent"]) for counter in counters),
        "rss_mb": [(round(each.get("early_rss_mb", 0), 1), round(each.get("rss_mb", 0), 1)) for each in counters],
    }


def run_processes(cell: Cell, url: str, redis_url: str | None, folder: str) -> list[dict[str, float]]:
    """Start the processes together and return their counters."""
    task = Task(
        client=cell.client,
        url=url,
        tiers=cell.tiers,
        redis_url=redis_url,
        sqlite_path=str(Path(folder) / "limits.db"),
        workers=cell.workers,
    )
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


def run_import(cell: Cell, url: str, redis_url: str | None, folder: str) -> list[dict[str, float]]:
    """Run a whole import in a separate process. Return its summary and resource use."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ITEMS_")},
        "IMPORT_PIPELINE_HOME": folder,
        "DATABASE_URL": "",
        "REDIS_URL": redis_url or "",
        "ITEMS_BASE_URL": url,
        "ITEMS_LIMITS": cell.tiers,
    }
    before = os.times()
    done = subprocess.run([sys.executable, "-c", IMPORT], env=environment, capture_output=True, text=True, check=True)
    after = os.times()
    summary = json.loads(done.stdout.splitlines()[-1])
    if summary["items_imported_count"] != DETAILS:
        raise RuntimeError(f"the import is not whole: {summary}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return [{"cpu": cpu, "sent": summary["requests_count"]}]
