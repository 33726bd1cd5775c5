"""Measure the panel's pages with many imports and items: milliseconds of CPU time, and the ratio to few.

python benchmarks/panel.py [--imports 10000] [--items 100000]
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import insert

# Run as a script, this folder is first on the path, and limits.py would hide the library of that name.
sys.path[0] = str(Path(__file__).parents[1])

from import_pipeline.tracking.tables import import_item_statuses, imports
from import_pipeline_tests.support.import_rows import NOON
from import_pipeline_tests.support.panel_client import PanelClient, add_import, open_panel

LOOKS = 15
FEW = 100


async def measured(many_imports: int, many_items: int) -> dict[str, float]:
    """Return path -> median milliseconds of CPU time of its response."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_panel(Path(folder) / "home") as panel:
            rows = [_import(number) for number in range(many_imports)]
            running = {"status": "running", "started_at": NOON - timedelta(hours=1), "items_count": many_items}
            with panel.installation.database.write() as connection:
                connection.execute(insert(imports), rows)
            import_id = add_import(panel.installation, **running, items_imported_count=many_items // 2)
            with panel.installation.database.write() as connection:
                connection.execute(
                    insert(import_item_statuses), [_item(import_id, number) for number in range(many_items)]
                )
            found = {}
            for path in ("/", "/?status=completed&sort=-hits&page=3", f"/imports/{import_id}", "/metrics"):
                found[path.replace(str(import_id), "ID")] = await _median(panel, path, {})
            refresh = {"X-Panel-Fragment": "1"}  # right after another viewer's refresh
            found["/imports/ID, refreshed"] = await _median(panel, f"/imports/{import_id}", refresh)
            return found


async def _median(panel: PanelClient, path: str, headers: dict[str, str]) -> float:
    times = []
    for _ in range(LOOKS):
        begin = time.process_time()
        answer = await panel.client.get(path, headers=headers)
        times.append((time.process_time() - begin) * 1000)
        answer.raise_for_status()
    return statistics.median(times)


def _import(number: int) -> dict[str, object]:
    at = NOON - timedelta(hours=3 * number + 1)
    return {
        "source": "items",
        "importable_type": "ImportedItem",
        "kind": "full",
        "trigger": "schedule",
        "status": "completed" if number % 9 else "failed",
        "scheduled_at": at,
        "started_at": at,
        "ended_at": at + timedelta(minutes=2),
        "items_count": 400,
        "items_imported_count": 400,
        "rate_limit_hits_count": number % 7,
        "metadata": {},
        "created_at": at,
        "updated_at": at,
    }


def _item(import_id: int, number: int) -> dict[str, object]:
    status = ("completed", "pending", "completed", "failed")[number % 4]
    return {
        "import_id": import_id,
        "importable_type": "ImportedItem",
        "external_id": str(number),
        "status": status,
        "failure_reason": f"the API answers {500 + number % 5}" if status == "failed" else None,
        "completed_at": NOON - timedelta(seconds=number % 3600) if status == "completed" else None,
        "next_attempt_at": NOON + timedelta(seconds=30) if status == "failed" and number % 8 == 3 else None,
        "metadata": {},
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--imports", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=100_000)
    options = parser.parse_args()
    few = asyncio.run(measured(FEW, FEW))
    many = asyncio.run(measured(options.imports, options.items))
    print(f"{'page':40} {'few':>9} {'many':>9} {'ratio':>7}")
    for path, milliseconds in many.items():
        print(f"{path:40} {few[path]:6.1f} ms {milliseconds:6.1f} ms {milliseconds / few[path]:7.2f}")


if __name__ == "__main__":
    main()
