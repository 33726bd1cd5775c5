"""Rows that a fresh import no longer finds: deleted only after a whole list, and if no table refers to them."""

import httpx
import pytest

from import_pipeline_tests.support.imported_table import text
from import_pipeline_tests.support.imports import counts, tracking


def events(things, action):
    with tracking(things.settings) as connection:
        found = connection.exec_driver_sql(f"SELECT message FROM import_events WHERE action = '{action}' ORDER BY id")
        return [row[0] for row in found]


@pytest.mark.parametrize("case", ["refused", "incomplete", "limited", "empty", "nameless"])
def test_a_fresh_import_that_did_not_see_the_whole_list_deletes_nothing(make_table, case):
    things = make_table({"name": text()})
    things.details = {each: {"name": "a"} for each in "123"}
    things.imported()
    whole = things.answer

    def answer(request):
        if request.url.path != "/api/items":
            return whole(request)
        if case == "refused":
            return httpx.Response(401)
        data = [] if case == "empty" else [{"id": "1"}]
        data += [{"id": ""}] if case == "nameless" else []
        return {"data": data, "current_page": 1, "last_page": 1, "total": 9 if case == "incomplete" else len(data)}

    things.answer = answer
    things.imported(fresh=True, **({"limit": 1} if case == "limited" else {}))
    assert set(things.rows()) == set("123")
    assert {row["name"] for row in things.rows().values()} == {"a"}


@pytest.mark.parametrize("constraint", ["", "DEFERRABLE INITIALLY DEFERRED"])
def test_a_row_that_others_refer_to_outlives_a_fresh_import_and_that_is_said(make_table, constraint):
    things = make_table({"name": text()})
    things.details = {each: {"name": "a"} for each in "123"}
    things.imported()
    things.sql(
        f"CREATE TABLE notes (thing VARCHAR(255) REFERENCES things (external_id) {constraint})",
        "INSERT INTO notes VALUES ('2')",
    )
    things.details = {"1": {"name": "b"}}
    assert counts(things.imported(fresh=True)) == ("completed", 1, 1, 0, 0)
    assert "2" in things.rows()
    [sentence] = events(things, "rows_forgotten")
    assert "kept: the table things refuses" in sentence or "No more rows are deleted: the table things" in sentence
