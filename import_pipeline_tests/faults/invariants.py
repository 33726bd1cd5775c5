"""The invariants of an import that completed after a fault: nothing lost, nothing twice, no avoidable 429."""

from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from sqlalchemy import select

from import_pipeline import run_import
from import_pipeline.rules.status import ImportStatus, ItemStatus
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.tables import import_item_statuses, imports
from import_pipeline_tests.support import http
from import_pipeline_tests.support.imports import rows, settings, tracking
from import_pipeline_tests.support.lifecycle import delete_all_rows, tracking_database
from source_api.items import seeded
from source_api.options import Options

#: A small import: two pages of items, few requests in flight.
ITEMS, IN_FLIGHT = 6, 2


@dataclass(frozen=True, kw_only=True)
class InvariantReport:
    """The numbers behind the invariants. All but the last two must be zero."""

    lost: int  #: items of the API whose current details are not in the user's table
    duplicates: int  #: rows beyond one per item: of the user's table, or of an import
    unfinished: int  #: item rows of completed imports that are not completed
    miscounted: int  #: items by which a completed import's counters differ from its rows
    running: int  #: imports that have not ended
    hits: int  #: answers of status 429
    repeated: int  #: detail requests beyond one per item


def check_invariants(configured, url, *, items) -> InvariantReport:
    """Compare the demo API's items with the user's rows, and read its counters."""
    seen = http.get(f"{url}/_stats").json()
    stored = rows(configured)  # fails if an external_id is there twice
    with tracking(configured) as connection:
        found = connection.execute(select(import_item_statuses)).mappings().all()
        all_imports = connection.execute(select(imports)).mappings().all()
    completed = {row["id"]: row for row in all_imports if row["status"] == ImportStatus.COMPLETED}
    of_completed = [row for row in found if row["import_id"] in completed]
    done = Counter(row["import_id"] for row in of_completed if row["status"] == ItemStatus.COMPLETED)
    counted = {key: row["items_imported_count"] + row["items_unchanged_count"] for key, row in completed.items()}
    repeated = seen["repeated_details"].values()
    return InvariantReport(
        lost=sum(not _is_stored(stored, item) for item in islice(seeded(Options().seed), items)),
        duplicates=len(found) - len({(row["import_id"], row["external_id"]) for row in found}) + len(stored) - items,
        unfinished=len(of_completed) - done.total(),
        miscounted=sum(abs(counted[each] - done[each]) for each in completed),
        hits=seen["rate_limited"],
        running=sum(row["status"] == ImportStatus.RUNNING for row in all_imports),
        repeated=sum(repeated) - len(repeated),
    )


def _is_stored(stored, item) -> bool:
    """Return True if the user's row has the details of the demo API's item."""
    number, name, description, price, *_ = item
    row = stored.get(str(number), {})
    return (row.get("name"), row.get("description"), row.get("price")) == (name, description, Decimal(price))


def assert_invariants(configured, url, *, items, most_repeated=0, most_hits=0) -> InvariantReport:
    """Assert the invariants; only requests in flight may be repeated."""
    found = check_invariants(configured, url, items=items)
    assert (found.lost, found.duplicates, found.unfinished, found.miscounted, found.running) == (0, 0, 0, 0, 0), found
    assert found.hits <= most_hits, found
    assert found.repeated <= most_repeated, found
    return found


def forget_everything(configured, url) -> None:
    """Delete all imports and permits, here and at the demo API."""
    with closing(Database(configured.database_url)) as database:
        delete_all_rows(database)
    http.post(f"{url}/_reset")
    for path in configured.limits_path.parent.glob(f"{configured.limits_path.name}*"):
        path.unlink()


def small_import(home, url, database_url, **variables):
    """Return the settings of a small import; its tables exist, no run has started it."""
    with tracking_database(database_url):
        pass
    few = dict.fromkeys(("ITEMS_CONCURRENCY", "ITEMS_CEILING"), str(IN_FLIGHT))
    return settings(home, url, DATABASE_URL=database_url, ITEMS_PER_PAGE="3", **few, **variables)


def assert_the_next_run_completes(configured, url, *, most_repeated=IN_FLIGHT) -> InvariantReport:
    """Resume a small import that was interrupted; it must complete and keep the invariants."""
    summary = run_import("items", settings=configured)
    assert (summary.status, summary.items_count, summary.items_failed_count) == ("completed", ITEMS, 0)
    return assert_invariants(configured, url, items=ITEMS, most_repeated=most_repeated)
