"""Reads of the sensor and the panel cost the same after ten times as many imports; a page is in the order of time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import Connection, delete, func, insert, select

from import_pipeline.tracking import queries, retention, scheduling, shards
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.queries import Filter
from import_pipeline.tracking.schema import upgrade
from import_pipeline.tracking.tables import imports
from import_pipeline_tests.support.import_rows import NOON

FEW, MANY = 400, 4000
LOOKS: dict[str, Callable[[Connection], object]] = {
    "the rules": lambda connection: scheduling.open_imports(connection, "items", NOON),
    "shards of ended imports": lambda connection: shards.unreleased(connection, "items"),
    "the first page": lambda connection: queries.find(connection, Filter(), NOON),
    "the oldest": lambda connection: queries.find(connection, Filter(), NOON, descending=False),
    "a source's page": lambda connection: queries.find(connection, Filter(source="items"), NOON),
    "what runs": lambda connection: queries.find(connection, Filter(status="running"), NOON),
    "what failed": lambda connection: queries.find(connection, Filter(status="failed"), NOON),
    "the newest that began": lambda connection: queries.latest_started(connection, "items"),
    "the newest full one": lambda connection: queries.latest_whole(connection, "items"),
    "the newest full one that ended well": lambda connection: queries.latest_completed_id(connection, "items"),
    "the newest that ended well": lambda connection: queries.latest_completed(connection, "items"),
}


def history(connection: Connection, size: int) -> None:
    """Store that many ended imports of two sources, every tenth without a due time."""
    connection.execute(delete(imports))
    for number in range(size):
        at = NOON - timedelta(hours=3 * (size - number))
        values = {
            "source": "items" if number % 2 else "others",
            "importable_type": "imported_items",
            "kind": "full",
            "trigger": "schedule",
            "status": "failed" if number % 9 == 0 else "completed",
            "slot_at": at,
            "scheduled_at": at if number % 10 else None,
            "started_at": at,
            "ended_at": at,
            "metadata": {},
            "created_at": at,
            "updated_at": at,
        }
        connection.execute(insert(imports).values(values))


@contextmanager
def steps(connection: Connection) -> Iterator[Callable[[], int]]:
    """The steps that SQLite's machine takes meanwhile, in hundreds: the same on every computer."""
    taken = count()
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.set_progress_handler(lambda: next(taken) < 0, 100)
    try:
        yield lambda: next(taken)
    finally:
        driver.set_progress_handler(None, 0)


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, int]]:
    """Return read -> its steps after few imports and after many."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('history') / 'tracking.db'}")
    upgrade(database)
    found: dict[str, list[int]] = {name: [] for name in LOOKS}
    for size in (FEW, MANY):
        with database.write() as connection:
            history(connection, size)
        for name, look in LOOKS.items():
            with database.read() as connection, steps(connection) as taken:
                look(connection)
                found[name].append(taken())
    database.close()
    return {name: (few, many) for name, (few, many) in found.items()}


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_takes_as_many_steps_after_ten_times_the_imports(look: str, costs: dict[str, tuple[int, int]]) -> None:
    few, many = costs[look]
    assert many <= few * 1.5 + 2


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("which", [Filter(), Filter(source="items"), Filter(status="failed")])
def test_pages_are_in_the_order_of_time(database_url: str, which: Filter, descending: bool) -> None:
    database = Database(database_url)
    upgrade(database)
    at = func.coalesce(imports.c.scheduled_at, imports.c.created_at)
    order = [each.desc() if descending else each.asc() for each in (at, imports.c.id)]
    with database.write() as connection:
        history(connection, 60)
        expected = list(connection.scalars(select(imports.c.id).where(*which.clauses(NOON)).order_by(*order)))
        pages = [
            row.id
            for offset in range(0, 70, 7)
            for row in queries.find(connection, which, NOON, descending=descending, limit=7, offset=offset)
        ]
        assert pages == expected
        assert retention.sources(connection) == ["items", "others"]
    database.close()
