"""Rows that a constraint, index or trigger refuses or drops: their items fail with a reason, others are stored."""

import itertools
import random

import pytest
from sqlalchemy import (
    ForeignKey,
    String,
)
from sqlalchemy.orm import mapped_column

from import_pipeline_tests.support.imported_table import ImportedTable, text
from import_pipeline_tests.support.imports import counts, reasons


def give(things, place, wanted):
    """Let the list or the details give those slugs (external id -> slug)."""
    things.details = {each: {} if place == "list" else {"slug": slug} for each, slug in wanted.items()}
    things.stubs = {each: {"slug": slug} for each, slug in wanted.items()}
    if place == "details":
        things.stubs = {}


CHANGES = {
    "handed on": ("abcd", "bxcd"),
    "along a chain": ("abcdefgh", "bcdefghx"),
    "swapped": ("abcd", "bacd"),
    "in a circle": ("abcdefgh", "bcdefgha"),
}


@pytest.mark.parametrize("place", ["list", "details"])
@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize("change", CHANGES)
def test_unique_values_may_move_between_rows(make_table, change, nullable, place):
    numbers = itertools.count()
    default = {} if nullable else {"default": lambda: f"none yet {next(numbers)}"}
    things = make_table({"slug": mapped_column(String(50), unique=True, nullable=nullable, **default)})
    for letters in CHANGES[change]:
        wanted = dict(zip("12345678", letters, strict=False))
        give(things, place, wanted)
        done = counts(things.imported())
        assert done == ("completed", len(letters), len(letters), 0, 0), reasons(things.settings)
        assert {key: row["slug"] for key, row in things.rows().items()} == wanted


def test_a_unique_value_that_two_items_want_is_refused_to_one_with_the_reason(make_table):
    things = make_table({"slug": mapped_column(String(50), unique=True, nullable=True)})
    give(things, "details", {"1": "a", "2": "a", "3": "c"})
    assert counts(things.imported()) == ("completed", 3, 2, 0, 1)
    [reason] = reasons(things.settings).values()
    assert reason.startswith("the table things refuses the row: ")


def test_a_row_that_needs_another_one_of_the_import_is_stored_after_it(make_table):
    things = make_table({"parent": mapped_column(ForeignKey("things.external_id"), nullable=True)})
    things.stubs = {"1": {"parent": "3"}, "2": {"parent": "none"}, "3": {}}
    things.details = {"1": {}, "2": {}, "3": {}}
    assert counts(things.imported()) == ("completed", 3, 2, 0, 1)
    assert set(reasons(things.settings)) == {"2"}
    assert things.rows()["1"]["parent"] == "3"


DEFERRED = {"deferrable": True, "initially": "DEFERRED"}


@pytest.mark.parametrize("place", ["list", "details"])
def test_a_constraint_that_is_checked_at_commit_refuses_its_row_only(make_table, place):
    things = make_table({"parent": mapped_column(ForeignKey("things.external_id", **DEFERRED), nullable=True)})
    parents = {"1": {"parent": "3"}, "2": {"parent": "none"}, "3": {}}
    things.stubs = parents if place == "list" else {}
    things.details = {each: {} if place == "list" else parent for each, parent in parents.items()}
    assert counts(things.imported()) == ("completed", 3, 2, 0, 1)
    assert set(reasons(things.settings)) == {"2"}


TRIGGERS = {
    "drops what is inserted": ("BEFORE INSERT", "IF new.external_id = '2' THEN RETURN NULL; END IF; RETURN new;"),
    "drops what is changed": ("BEFORE UPDATE", "IF new.external_id = '2' THEN RETURN NULL; END IF; RETURN new;"),
    "deletes it afterwards": ("AFTER INSERT OR UPDATE", "DELETE FROM things WHERE external_id = '2'; RETURN NULL;"),
    "gives it another id": (
        "BEFORE INSERT",
        "IF new.external_id = '2' THEN new.external_id := 'other'; END IF; RETURN new;",
    ),
    "raises a code of its own": (
        "BEFORE INSERT OR UPDATE",
        "IF new.external_id = '2' THEN RAISE EXCEPTION 'not this one' USING ERRCODE = 'ZZ999'; END IF; RETURN new;",
    ),
}


@pytest.mark.parametrize("case", TRIGGERS)
def test_what_a_trigger_does_with_a_row_is_not_called_imported(home, postgres_url, case):
    things = ImportedTable(home, postgres_url, {"name": text()})
    moment, body = TRIGGERS[case]
    things.sql(
        f"CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$",
        f"CREATE TRIGGER acts {moment} ON things FOR EACH ROW EXECUTE FUNCTION act()",
    )
    things.details = {each: {"name": "a"} for each in "123"}
    assert counts(things.imported()) == ("completed", 3, 2, 0, 1)
    assert set(reasons(things.settings)) == {"2"}


def test_a_trigger_that_ignores_a_row_on_sqlite_fails_its_item(home, tmp_path):
    things = ImportedTable(home, f"sqlite:///{tmp_path / 'tracking.db'}", {"name": text()})
    things.sql("CREATE TRIGGER acts BEFORE INSERT ON things WHEN new.external_id = '2' BEGIN SELECT RAISE(IGNORE); END")
    things.details = {each: {"name": "a"} for each in "123"}
    assert counts(things.imported()) == ("completed", 3, 2, 0, 1)
    assert "trigger" in reasons(things.settings)["2"]


def test_a_row_too_large_for_an_index_fails_alone(home, postgres_url):
    things = ImportedTable(home, postgres_url, {"name": text(index=True)})
    chance = random.Random(1)
    long = "".join(chance.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(20_000))
    things.details = {"1": {"name": "a"}, "2": {"name": long}, "3": {"name": "a"}}
    assert counts(things.imported()) == ("completed", 3, 2, 0, 1)
    assert "index row" in reasons(things.settings)["2"]
