"""The queries of the panel and the commands, on both databases."""

from datetime import timedelta

import pytest
from sqlalchemy import insert

from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking import imports as rows
from import_pipeline.tracking import queries, requests
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.queries import SORTABLE, Filter
from import_pipeline.tracking.requests import NewRequest, RequestKind
from import_pipeline.tracking.schema import upgrade
from import_pipeline.tracking.tables import import_item_statuses, imports
from import_pipeline_tests.support.import_rows import NOON


@pytest.fixture
def database(database_url):
    database = Database(database_url)
    upgrade(database)
    yield database
    database.close()


def add(connection, source="items", hours=0, **values):
    row = {"source": source, "importable_type": "X", "kind": "full", "trigger": "cli", "metadata": {}}
    row |= {"scheduled_at": NOON + timedelta(hours=hours), "created_at": NOON, "updated_at": NOON}
    return connection.execute(insert(imports).values(row | values).returning(imports.c.id)).scalar_one()


def ids(connection, which, **how):
    return [row.id for row in queries.find(connection, which, NOON, **how)]


def test_imports_are_found_in_every_order_and_by_every_status(database):
    with database.write() as connection:
        overdue, due, coming = (add(connection, hours=hours) for hours in (-1, -1 / 120, 1))
        ended = add(connection, source="orders", hours=-2, status="failed", items_count=4, rate_limit_hits_count=2)
        for sort in SORTABLE:
            up = ids(connection, Filter(), sort=sort, descending=False)
            assert up == ids(connection, Filter(), sort=sort)[::-1]
            assert sorted(up) == [overdue, due, coming, ended]
        assert ids(connection, Filter()) == [coming, due, overdue, ended]
        assert ids(connection, Filter(), limit=1, offset=1) == [due]
        assert ids(connection, Filter(status="overdue")) == [overdue]
        assert ids(connection, Filter(status="due")) == [due]
        assert ids(connection, Filter(status="scheduled")) == [coming, due]
        assert ids(connection, Filter(source="orders", status=ImportStatus.FAILED)) == [ended]
        assert queries.count_imports(connection, Filter(source="items"), NOON) == 3
        assert queries.counts(connection, NOON) == {
            ("items", "scheduled"): 2,
            ("items", "overdue"): 1,
            ("orders", "failed"): 1,
        }


def test_failures_are_grouped_the_most_frequent_first(database):
    with database.write() as connection:
        found = add(connection)
        later = NOON + timedelta(minutes=1)
        for place, (reason, again) in enumerate(
            [("404", None), ("503", later), ("404", None), ("503", None), ("404", None)]
        ):
            row = {"import_id": found, "importable_type": "X", "external_id": str(place), "status": "failed"}
            row |= {"failure_reason": reason, "next_attempt_at": again, "metadata": {}}
            connection.execute(insert(import_item_statuses).values(row))
        groups = queries.failures_by_reason(connection, found)
        assert [
            (group.reason, group.count, group.waiting, group.next_attempt_at, group.example) for group in groups
        ] == [
            ("404", 3, 0, None, "0"),
            ("503", 2, 1, later, "1"),
        ]
        assert queries.failures_by_reason(connection, add(connection, source="orders")) == []


def test_the_latest_finished_items_have_their_times(database):
    with database.write() as connection:
        found = add(connection)
        for place in range(5):
            row = {"import_id": found, "importable_type": "X", "external_id": str(place), "metadata": {}}
            row |= {"status": "completed" if place else "pending"}
            row |= {"completed_at": NOON + timedelta(seconds=place) if place else None}
            connection.execute(insert(import_item_statuses).values(row))
        assert queries.finished_at(connection, found, 2) == [NOON + timedelta(seconds=each) for each in (4, 3)]


def test_requests_wait_until_claimed_and_the_latest_started_import_has_begun(database):
    with database.write() as connection:
        request_id = requests.record(connection, NewRequest(source="items", kind=RequestKind.NEW), NOON)
        assert queries.waiting_requests(connection) == [("items", "new", NOON)]
        requests.claim(connection, request_id, NOON)
        assert queries.waiting_requests(connection) == []
        assert queries.latest_started(connection, "items") is None
        begun = add(connection, started_at=NOON, status="running")
        add(connection)
        assert queries.latest_started(connection, "items") == begun


def test_only_an_import_of_everything_counts_as_full(database):
    with database.write() as connection:
        assert (queries.latest_whole(connection, "items"), queries.latest_completed(connection, "items")) == (
            None,
            None,
        )
        ended = {"started_at": NOON, "ended_at": NOON, "status": "completed"}
        full = add(connection, **ended, metadata={"fresh": True})
        later = ended | {"ended_at": NOON + timedelta(hours=1)}
        for some in ({"kind": "selection"}, {"kind": "discovery"}, {"metadata": {"limit": 20}}):
            assert not rows.get(connection, add(connection, **later | some)).is_whole
        assert rows.get(connection, full).is_whole
        assert queries.latest_whole(connection, "items") == full
        assert queries.latest_completed_id(connection, "items") == full
        assert queries.latest_completed(connection, "items") == NOON


def test_imports_with_failures_are_found_whatever_their_status(database):
    with database.write() as connection:
        add(connection, status="completed")
        found = [add(connection, status=status, items_failed_count=2) for status in ("completed", "failed", "running")]
        which = Filter(status="with failures")
        assert queries.count_imports(connection, which, NOON) == 3
        assert sorted(row.id for row in queries.find(connection, which, NOON)) == found
