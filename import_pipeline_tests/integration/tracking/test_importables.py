"""The user's own rows: those that the table refuses fail alone, and nobody else's are touched."""

import pytest
from sqlalchemy import select

from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking import claims, importables, imports
from import_pipeline.tracking.claims import Done
from import_pipeline.tracking.pages import Discovered
from import_pipeline.tracking.tables import source_items
from import_pipeline_tests.integration.tracking.ledger import (
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
        with pytest.raises(importables.RowsRefused):
            do(database, claims.complete, row, lease, Thing, done, NOON, at_once=True)
        assert counted(database, row) == ((0, 0, 0),) * 2
    refused = do(database, claims.complete, row, lease, Thing, done, NOON)
    assert [failure.claim.external_id for failure in refused] == refusing
    assert all(failure.reason.startswith("the table things refuses the row: ") for failure in refused)
    assert counted(database, row) == ((3 - len(refusing), 0, len(refusing)),) * 2
    assert [thing["name"] for thing in table(database)] == ["b", "a" if refusing else bad.get("name", "b"), "b"]


def test_forgetting_a_source_touches_nothing_of_another(database):
    for source, external_ids in (("things", "ab"), ("others", "cd")):
        row, lease = begun(database, source)
        discover(database, row, lease, *map(whole, external_ids))
        do(database, imports.end, lease, NOON, ImportStatus.COMPLETED)
    do(database, importables.upsert, Thing, [Thing(external_id="own", name="mine")])
    assert do(database, importables.forget, "things", Thing) == 2
    assert [thing["external_id"] for thing in table(database)] == ["c", "d", "own"]
    with database.read() as connection:
        assert set(connection.execute(select(source_items.c.source, source_items.c.external_id)).all()) == {
            ("others", "c"),
            ("others", "d"),
        }


def test_external_ids_may_be_numbers(database):
    row, lease = begun(database)
    found = [Discovered(external_id=str(number), importable=Numbered(external_id=number)) for number in (7, 12)]
    discover(database, row, lease, *found, model=Numbered)
    taken = claim(database, lease)
    with database.read() as connection:
        rows = importables.load(connection, Numbered, ids(taken))
    for each in rows.values():
        each.name = "b"
    done = [Done(claim=each, importable=rows[each.external_id]) for each in taken]
    assert do(database, claims.complete, row, lease, Numbered, done, NOON) == []
    assert table(database, Numbered) == [{"external_id": 7, "name": "b"}, {"external_id": 12, "name": "b"}]
    assert do(database, importables.forget, "things", Numbered) == 2
