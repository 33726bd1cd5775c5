"""Primary keys that the source sets: written as they are, in all usual types, and never changed afterwards."""

import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import BigInteger, Integer, Numeric, String, Uuid, select
from sqlalchemy.orm import mapped_column

from import_pipeline.contracts import UtcDateTime
from import_pipeline_tests.support.imported_table import text
from import_pipeline_tests.support.imports import counts, reasons, tracking

FIRST, SECOND = uuid.UUID(int=1), uuid.UUID(int=2)
KEYS = {
    "a number": (Integer, [{"id": 7001}, {"id": 7002}], None),
    "a number as text": (Integer, [{"id": "0701"}, {"id": "702"}], [701, 702]),
    "a large number": (BigInteger, [{"id": 2**40}, {"id": 2**40 + 1}], None),
    "a text": (String(20), [{"id": "ü/1"}, {"id": "b"}], None),
    "a UUID": (Uuid, [{"id": FIRST}, {"id": SECOND}], None),
    "a UUID as text": (
        Uuid(as_uuid=False),
        [{"id": str(FIRST).upper()}, {"id": SECOND.hex}],
        [str(FIRST), str(SECOND)],
    ),
    "a number with decimals": (
        Numeric(10, 2),
        [{"id": Decimal("1.5")}, {"id": "2"}],
        [Decimal("1.50"), Decimal("2.00")],
    ),
    "a time": (
        UtcDateTime,
        [{"id": datetime(2026, 1, 1, tzinfo=UTC)}, {"id": datetime(2026, 1, 2, tzinfo=UTC)}],
        None,
    ),
}


def keys(things):
    with tracking(things.settings) as connection:
        found = connection.execute(select(things.model.external_id, things.model.id))
        return {row.external_id: row.id for row in found}


@pytest.mark.parametrize(("kind", "given", "stored"), KEYS.values(), ids=KEYS)
def test_a_key_that_the_source_sets_is_written_and_kept(make_table, kind, given, stored):
    things = make_table({"id": mapped_column(kind, primary_key=True), "name": text()})
    things.stubs = dict(zip("12", given, strict=True))
    things.details = {"1": {"name": "a"}, "2": {"name": "b"}}
    for _ in range(2):
        assert counts(things.imported()) == ("completed", 2, 2, 0, 0)
        expected = stored or [each["id"] for each in given]
        assert keys(things) == dict(zip("12", expected, strict=True))
    things.details = {each: {**one, "name": "c"} for each, one in zip("12", given, strict=True)}
    assert counts(things.imported()) == ("completed", 2, 2, 0, 0), "the detail has the same key"


def test_a_key_of_several_columns_is_written_and_kept(make_table):
    columns = {
        "id": mapped_column(String(20), primary_key=True),
        "number": mapped_column(Integer, primary_key=True),
        "name": text(),
    }
    things = make_table(columns)
    things.stubs = {"1": {"id": "acme", "number": 1}, "2": {"id": "acme", "number": 2}}
    things.details = {"1": {"name": "a"}, "2": {"name": "b"}}
    for _ in range(2):
        assert counts(things.imported()) == ("completed", 2, 2, 0, 0)
    found = {each["external_id"]: (each["id"], each["number"]) for each in things.rows().values()}
    assert found == {"1": ("acme", 1), "2": ("acme", 2)}


def test_a_stored_key_is_never_changed(make_table):
    things = make_table({"name": text()})
    things.stubs = {"1": {"id": 10}, "2": {"id": 20}}
    things.details = {"1": {"name": "a"}, "2": {"name": "b"}}
    things.imported()
    things.details["2"] = {"id": 21, "name": "c"}
    assert counts(things.imported()) == ("completed", 2, 1, 0, 1)
    assert reasons(things.settings)["2"] == (
        "the row has the primary key id 20, and the source sets 21: a stored key is never changed"
    )
    assert keys(things) == {"1": 10, "2": 20}


def test_a_key_of_two_items_fails_the_second_one(make_table):
    things = make_table({"name": text()})
    things.stubs = {"1": {"id": 10}, "2": {"id": 10}}
    things.details = {"1": {"name": "a"}, "2": {"name": "b"}}
    assert counts(things.imported()) == ("completed", 2, 1, 0, 1)
    assert keys(things) == {"1": 10}


def test_a_long_key_of_several_columns_is_no_obstacle(make_table):
    columns = {f"part{n}": mapped_column(String(200), primary_key=True) for n in range(3)}
    things = make_table({"id": mapped_column(Integer), **columns, "name": text()})
    things.stubs = {"1": {f"part{n}": str(n) * 200 for n in range(3)}}
    things.details = {"1": {"name": "a"}}
    assert counts(things.imported()) == ("completed", 1, 1, 0, 0)
