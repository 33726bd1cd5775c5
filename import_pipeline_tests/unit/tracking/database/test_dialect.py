"""Rows to insert, without what is null anyway."""

from import_pipeline.tracking.database.dialect import without_nulls


def test_a_column_that_one_row_needs_is_kept_in_all() -> None:
    rows = [{"id": 1, "reason": None, "count": 0}, {"id": 2, "reason": "late", "count": 0}]
    assert without_nulls(rows) == rows


def test_a_column_without_any_value_is_left_out() -> None:
    rows = [{"id": 1, "reason": None, "text": ""}, {"id": 2, "reason": None, "text": "x"}]
    assert without_nulls(rows) == [{"id": 1, "text": ""}, {"id": 2, "text": "x"}]
