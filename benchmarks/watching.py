"""Measure the cost of ten viewers to an import that its limits slow down: its time over the least, with and without.

python benchmarks/watching.py [--pairs 3]
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

# Run as a script, this folder is first on the path, and limits.py would hide the library of that name.
sys.path[0] = str(Path(__file__).parents[1])

from import_pipeline_tests.acceptance.command_line import answers, eventually, free_port
from source_api.process import serve

LIMITS = "50/2 second; 200/10 second"
WATCHERS = 10
REFRESH = {"X-Panel-Fragment": "1"}


@contextmanager
def open_panel(environment: dict[str, str]) -> Iterator[str]:
    """Run a panel in a separate process; yield its URL."""
    port = free_port()
    command = [sys.executable, "-m", "import_pipeline", "panel", "--quiet"]
    server = subprocess.Popen(command, env=environment | {"PANEL_PORT": str(port)})
    try:
        address = f"http://127.0.0.1:{port}"
        eventually(lambda: answers(f"{address}/login"), "the panel answers")
        yield address
    finally:
        server.terminate()
        server.wait()


async def ratio(environment: dict[str, str], panel: str, watchers: int) -> tuple[float, int]:
    """Return the import's time divided by the least possible, and the number of page views meanwhile."""
    command = [sys.executable, "-m", "import_pipeline", "run", "items", "--fresh", "--yes", "--json"]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    looks = 0

    async def watch(client: httpx.AsyncClient) -> None:
        """Request the page of the newest import each second."""
        nonlocal looks
        while True:
            newest = (await client.get("/api/imports?sort=-id")).json()["imports"]
            for each in newest[:1]:
                (await client.get(f"/imports/{each['import_id']}", headers=REFRESH)).raise_for_status()
                looks += 1
            await asyncio.sleep(1)

    async with httpx.AsyncClient(base_url=panel, timeout=30) as client:
        tasks = [asyncio.create_task(watch(client)) for _ in range(watchers)]
        said, _ = await process.communicate()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return float(json.loads(said)["ideal_ratio"]), looks


def measured(pairs: int) -> None:
    """Print each pair, and the median of their quotients."""
    quotients = []
    with tempfile.TemporaryDirectory() as home, serve("--limits", LIMITS) as api:
        settings = {"IMPORT_PIPELINE_HOME": home, "ITEMS_BASE_URL": api, "ITEMS_LIMITS": LIMITS}
        environment = {**os.environ, **settings}
        with open_panel(environment) as panel:
            for number in range(pairs):
                found = {}
                # The order alternates, so that slow changes of the machine affect both.
                for watchers in (0, WATCHERS) if number % 2 == 0 else (WATCHERS, 0):
                    found[watchers] = asyncio.run(ratio(environment, panel, watchers))
                (alone, _), (watched, looks) = found[0], found[WATCHERS]
                quotients.append(watched / alone)
                print(f"alone {alone:.4f}  watched {watched:.4f} ({looks} page views)  quotient {watched / alone:.4f}")
    print(f"median quotient {statistics.median(quotients):.4f}")


def main() -> None:
    """Parse the number of pairs and run them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    measured(parser.parse_args().pairs)


if __name__ == "__main__":
    main()
