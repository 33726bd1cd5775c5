"""JSON values become values of their columns, or a clear refusal."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Enum, LargeBinary, Numeric, String

from import_pipeline.declarative.bodies import json_of, lines_of
from import_pipeline.declarative.unfit import Unfit
from import_pipeline.declarative.values import TYPES, column_type, read_value, value_at

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("word", "value", "stored"),
    [
        ("text", "a", "a"),
        ("text", 5, "5"),
        ("text", True, "true"),
        ("text", {"ü": [1]}, '{"ü": [1]}'),
        ("text", "", ""),
        ("string(9)", "a", "a"),
        ("integer", 5, 5),
        ("integer", "5", 5),
        ("integer", 5.0, 5),
        ("integer", " ", None),
        ("numeric", 12.1, Decimal("12.1")),
        ("numeric(12, 2)", "12.10", Decimal("12.10")),
        ("numeric", "", None),
        ("float", "1e3", 1000.0),
        ("boolean", True, True),
        ("boolean", "No", False),
        ("boolean", 1, True),
        ("datetime", "2030-01-31T12:00:00Z", NOON),
        ("datetime", "2030-01-31T13:00:00.000+0100", NOON),
        ("datetime", "2030-01-31 12:00", NOON),
        ("datetime", "Thu, 31 Jan 2030 12:00:00 GMT", NOON),
        ("datetime", NOON.timestamp(), NOON),
        ("datetime", int(NOON.timestamp() * 1000), NOON),
        ("datetime", "", None),
        ("date", "2030-01-31", date(2030, 1, 31)),
        ("date", "2030-01-31T12:00:00Z", date(2030, 1, 31)),
        ("json", {"a": [1]}, {"a": [1]}),
        ("json", "", ""),
        ("uuid", "6f1c1c9e53b44b43b7b00a2c3a4b5c6d", UUID("6f1c1c9e-53b4-4b43-b7b0-0a2c3a4b5c6d")),
    ],
)
def test_a_value_is_read(word, value, stored):
    assert read_value(column_type(word), value) == stored


@pytest.mark.parametrize(
    ("written", "word", "stored"),
    [
        ("12345678901234567.89", "numeric(20, 2)", Decimal("12345678901234567.89")),
        ("0.123456789012345678", "numeric", Decimal("0.123456789012345678")),
        ("9007199254740993.0", "integer", 9007199254740993),
        ("12345678901234567.89", "text", "12345678901234567.89"),
        ("12345678901234567.89", "float", 12345678901234567.89),
        ("12345678901234567.89", "json", 12345678901234567.89),
        ("19.989999999999998", "numeric", Decimal("19.99")),
        ("1.50", "text", "1.5"),
        ("1e3", "numeric", Decimal(1000)),
        ("1e-99999999999999999999", "numeric", Decimal(0)),
    ],
)
def test_all_digits_of_a_json_number_are_read(written, word, stored):
    page, [line] = (read(httpx.Response(200, text=written), "items") for read in (json_of, lines_of))
    assert [read_value(column_type(word), found) for found in (page, line)] == [stored, stored]


@pytest.mark.parametrize("word", TYPES)
def test_null_stays_null(word):
    assert read_value(column_type(word), None) is None


@pytest.mark.parametrize(
    ("word", "value", "sentence"),
    [
        ("integer", "5.5", "expected a whole number of at most 63 bits, got '5.5'"),
        ("integer", 2**63, "expected a whole number of at most 63 bits, got 9223372036854775808"),
        ("integer", True, "expected a whole number, got True"),
        ("integer", "1e999999999", "expected a whole number, got '1e999999999'"),
        ("numeric", "NaN", "expected a number, got 'NaN'"),
        ("numeric", [1], r"expected a number, got \[1\]"),
        ("float", "1e400", "expected a number that a float holds, got '1e400'"),
        ("boolean", 2, "expected true or false, got 2"),
        ("datetime", "soon", "expected a time such as 2030-01-31T12:00:00Z, or seconds since 1970, got 'soon'"),
        ("datetime", 1e30, "expected a time such as"),
        ("datetime", False, "expected a time such as"),
        ("date", "31.1.2030", "expected a date such as 2030-01-31, got '31.1.2030'"),
        ("uuid", 5, "expected a UUID, got 5"),
    ],
)
def test_another_value_is_refused(word, value, sentence):
    with pytest.raises(Unfit, match=sentence):
        read_value(column_type(word), value)


@given(word=st.sampled_from(sorted(TYPES)), value=JSON)
def test_any_json_value_is_read_or_refused(word, value):
    """A value that was read is one that its column takes: it can be read again from its own text."""
    type_ = column_type(word)
    try:
        read = read_value(type_, value)
    except Unfit:
        return
    if word == "text" and not isinstance(value, str | None):
        assert json.dumps(json.loads(read)) == json.dumps(value)
    elif read is not None and word != "json":
        own_text = read.isoformat() if isinstance(read, date) else str(read)
        assert read_value(type_, own_text) in {read, None}  # a text of blanks is null


def test_types_of_sqlalchemy_are_taken_if_json_values_can_be_read_into_them():
    assert read_value(column_type(Numeric), 1) == Decimal(1)
    assert read_value(column_type(String(3)), 1) == "1"
    assert read_value(column_type(Enum("a", "b")), "a") == "a"
    for declared in (LargeBinary, LargeBinary(), int, "money", 5, None, "numeric(1,2,3)", "text(5)"):
        with pytest.raises(Unfit, match=r"expected .*text, string, integer"):
            column_type(declared)


def test_a_path_leads_through_names_and_positions():
    item = {"a": [{"b": 1}], "x.y": 2}
    assert [value_at(item, path) for path in ("a.0.b", "x.y", ".", "a.1.b", "a.b")] == [1, 2, item, None, None]
