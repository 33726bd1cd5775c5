"""Values that a column refuses, changes or cannot give back: their items fail with a reason, all others are stored."""

import enum
from datetime import UTC, datetime, time
from decimal import Decimal

import pytest
from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Enum,
    Float,
    Integer,
    Numeric,
    Time,
)
from sqlalchemy.orm import mapped_column

from import_pipeline.contracts import UtcDateTime
from import_pipeline_tests.support.imported_table import text
from import_pipeline_tests.support.imports import counts, reasons


class State(enum.Enum):
    OPEN = "open"


REFUSED = {
    "a value that the enumeration does not know": (Enum("open", "closed", native_enum=False), "open", "gone"),
    "a name that the enumeration does not know": (Enum(State, native_enum=False), State.OPEN, "GONE"),
    "year 10000 in UTC": (
        DateTime,
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime.fromisoformat("9999-12-31T23:59:59-12:00"),
    ),
    "year 0 in UTC": (
        DateTime,
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime.fromisoformat("0001-01-01T00:00:00+12:00"),
    ),
    "the same of a type that keeps UTC": (
        UtcDateTime,
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime.fromisoformat("9999-12-31T23:59:59-12:00"),
    ),
    "a time of day with an offset": (Time, time(12), time.fromisoformat("12:00:00+02:00")),
    "NaN": (Float, 1.5, float("nan")),
    "Infinity": (Float, 1.5, float("inf")),
    "a decimal NaN": (Numeric(12, 2), Decimal("1.5"), Decimal("NaN")),
    "a number in letters": (Numeric(12, 2), Decimal("1.5"), "Infinity"),
    "Infinity within JSON": (JSON, {"a": [1]}, {"a": [float("inf")]}),
    "half of a whole number": (Integer, 2, 1.5),
    "a text in a number": (Integer, 2, "many"),
    "a number beyond its column": (BigInteger, 2, 2**63),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_value_that_could_not_be_read_back_as_it_is_fails_its_item(make_table, case):
    type_, good, bad = REFUSED[case]
    things = make_table({"value": mapped_column(type_, nullable=True)})
    things.details = {"1": {"value": good}, "2": {"value": bad}, "3": {"value": good}}
    for _ in range(2):
        assert counts(things.imported()) == ("completed", 3, 2, 0, 1)
        assert set(reasons(things.settings)) == {"2"}
    assert "value" in reasons(things.settings)["2"] or "things" in reasons(things.settings)["2"]
    assert things.rows()["2"]["value"] is None
    assert things.rows()["1"]["value"] is not None


def test_a_row_that_cannot_be_read_is_fetched_anew_and_keeps_what_can(make_table):
    things = make_table(
        {
            "state": mapped_column(Enum("open", "closed", native_enum=False), nullable=True),
            "note": text(),
        }
    )
    things.details = {each: {"state": "open"} for each in "123"}
    things.imported()
    things.sql("UPDATE things SET state = 'lost', note = 'mine' WHERE external_id = '2'")
    assert counts(things.imported()) == ("completed", 3, 3, 0, 0)
    assert (things.rows()["2"]["state"], things.rows()["2"]["note"]) == ("open", "mine")


def test_a_time_with_an_offset_is_kept_as_utc(make_table):
    things = make_table(
        {"at": mapped_column(DateTime, nullable=True), "kept": mapped_column(UtcDateTime, nullable=True)}
    )
    moment = datetime.fromisoformat("2026-07-01T12:00:00+02:00")
    things.details = {"1": {"at": moment, "kept": moment}}
    assert counts(things.imported()) == ("completed", 1, 1, 0, 0)
    row = things.rows()["1"]
    assert row["at"].replace(tzinfo=UTC) == row["kept"] == moment


def test_a_list_that_loses_a_field_wipes_nothing(make_table):
    things = make_table({"name": text(), "tags": mapped_column(JSON, nullable=True)})
    things.details = {"1": {}}
    things.stubs = {"1": {"name": "a", "tags": ["x"]}}
    things.imported()
    things.stubs = {"1": {"name": None, "tags": None}}
    things.imported()
    assert (things.rows()["1"]["name"], things.rows()["1"]["tags"]) == ("a", ["x"])
    things.details = {"1": {"name": None, "tags": ["y"]}}
    things.imported()
    assert (things.rows()["1"]["name"], things.rows()["1"]["tags"]) == (None, ["y"]), "details decide"
