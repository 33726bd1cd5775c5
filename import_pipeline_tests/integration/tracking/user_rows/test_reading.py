"""The user's own rows: those that the table refuses fail alone, and rows of others are not touched."""

import pytest
from sqlalchemy import select

from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking import claims, transitions
from import_pipeline.tracking.claims import Done
from import_pipeline.tracking.lists.list_pages import Discovered
from import_pipeline.tracking.tables import source_items
from import_pipeline.tracking.user_rows import reading
from import_pipeline.tracking.user_rows.generations import Deleted, delete_unlisted
from import_pipeline.tracking.user_rows.row_rescue import store_apart
from import_pipeline.tracking.user_rows.row_writing import RowsRefused, upsert
from import_pipeline_tests.support.tracking_rows import (
    NOON,
    Numbered,
    Thing,
    begun,
    claim,
    counted,
    details,
    discover,
    do,
    ids,
    stub,
    table,
    whole,
)

REFUSED_ANYWHERE = {"NOT NULL": {"name": None}, "a number that is too large": {"amount": 2**70}}
REFUSED_BY_POSTGRES = {
    "a text that is too long": {"note": "far too long for it"},
    "a zero byte": {"note": "a\0b"},
}
REFUSED_BY_THE_DRIVERS = {"half a character": {"note": "\ud800"}, "no value of the column": {"note": {"a": [1]}}}


@pytest.mark.parametrize("reason", [*REFUSED_ANYWHERE, *REFUSED_BY_POSTGRES, *REFUSED_BY_THE_DRIVERS])
def test_a_row_that_the_table_refuses_fails_alone(database, reason):
    bad = (REFUSED_ANYWHERE | REFUSED_BY_POSTGRES | REFUSED_BY_THE_DRIVERS)[reason]
    refusing = [] if database.is_sqlite and reason in REFUSED_BY_POSTGRES else ["bad"]
    row, lease = begun(database)
    discover(database, row, lease, *map(stub, ["a", "bad", "c"]))
    taken = claim(database, lease)
    done = [*details(taken[:1]), *details(taken[1:2], **bad), *details(taken[2:])]
    if refusing:
        with pytest.raises(RowsRefused, match=r"^the table things refuses the row: |^the column amount cannot keep"):
            do(database, claims.complete, row, lease, Thing, done, NOON)
        assert counted(database, row) == ((0, 0, 0),) * 2
    apart = store_apart(Thing, done, lambda some, _: do(database, claims.complete, row, lease, Thing, some, NOON))
    assert [each.claim.external_id for each, _ in apart.refused] == refusing
    assert counted(database, row) == ((3 - len(refusing), 0, 0),) * 2
    assert [thing["name"] for thing in table(database)] == ["b", "a" if refusing else bad.get("name", "b"), "b"]


def ended(database, source, external_ids, **options):
    """Complete an import of those whole items; return what its end deleted."""
    row, lease = begun(database, source, **options)
    discover(database, row, lease, *map(whole, external_ids))
    deleted = do(database, delete_unlisted, row, lease, Thing, NOON)
    do(database, transitions.end, lease, NOON, ImportStatus.COMPLETED)
    return deleted


def test_the_end_of_a_fresh_import_touches_nothing_of_another_source(database):
    for source, external_ids in (("things", "abs"), ("others", "cds")):
        row, lease = begun(database, source)
        discover(database, row, lease, *map(whole, external_ids))
        do(database, transitions.end, lease, NOON, ImportStatus.COMPLETED)
    do(database, upsert, Thing, [Thing(external_id="own", name="mine")])
    assert ended(database, "things", "a") == Deleted(count=2)
    assert [thing["external_id"] for thing in table(database)] == ["a", "c", "d", "own", "s"]
    with database.read() as connection:
        assert set(connection.execute(select(source_items.c.source, source_items.c.external_id)).all()) == {
            ("things", "a"),
            ("others", "c"),
            ("others", "d"),
            ("others", "s"),
        }


def test_a_list_without_items_deletes_nothing(database):
    ended(database, "things", "abc")
    deleted = ended(database, "things", "")
    assert (deleted.count, deleted.kept, deleted.reason) == (0, 3, "the list has no items at all")
    assert len(table(database)) == 3


def test_external_ids_may_be_numbers(database):
    row, lease = begun(database)
    found = [Discovered(external_id=str(number), importable=Numbered(external_id=number)) for number in (7, 12)]
    discover(database, row, lease, *found, model=Numbered)
    taken = claim(database, lease)
    with database.read() as connection:
        rows = reading.load(connection, Numbered, ids(taken))
    for each in rows.values():
        each.name = "b"
    done = [Done(claim=each, importable=rows[each.external_id]) for each in taken]
    do(database, claims.complete, row, lease, Numbered, done, NOON)
    assert table(database, Numbered) == [{"external_id": 7, "name": "b"}, {"external_id": 12, "name": "b"}]
