"""A declared path that no answer has is said: by an event of the import, and by `doctor`. It fails nothing."""

import pytest

from import_pipeline import Column, PageNumber, RestSource, run_import
from import_pipeline.cli.doctor_source import source as check_source
from import_pipeline.importer.control.plan import plan_import
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.source_loader import configure
from import_pipeline.importer.user_code.declared_paths import unmet_by_all, unmet_paths, watch_paths
from import_pipeline.tracking import events
from import_pipeline_tests.support.imports import FREE, counts, demo_api, rows, settings, tracking

PAGES = PageNumber(size="perPage", last="last_page")


def declared(url, **words):
    known = {"name": "things", "base_url": url, "limits": FREE, "list": "/api/items", "items": "data", "pages": PAGES}
    return RestSource(**known | words)


def imported(configured, source):
    """Import the source; return the summary and the sentences about its paths."""
    summary = run_import("things", settings=configured, sources=[source])
    with tracking(configured) as connection:
        found = events.latest(connection, summary.import_id)
    return summary, [message for _, action, message in found if action == "paths_not_found"]


def checked(configured, source):
    return check_source(configured, *configure([source], configured))


@pytest.fixture(scope="module")
def url():
    with demo_api(items=25) as address:
        yield address


def test_a_misspelt_column_of_a_list_is_said_once_per_import(url, home):
    configured = settings(home, url)
    source = declared(url, columns={"name": "nmae", "changed": "updated_at"}, per_page=10)
    for _ in range(2):
        summary, said = imported(configured, source)
        assert counts(summary)[0] == "completed"
        assert said == ["Check these paths: column name: no item has nmae (did you mean name?)"]
    assert {row["name"] for row in rows(configured, source.model).values()} == {None}
    found = checked(configured, source)
    assert found.notes == ("Check these paths: column name: no item has nmae (did you mean name?)",)


def test_columns_of_details_are_judged_by_details(url, home):
    columns = {"name": Column("nmae"), "sku": Column("attributes.clor"), "changed": Column("updatd_at", from_list=True)}
    source = declared(url, detail="/api/items/{id}", columns=columns, version="updated_at")
    configured = settings(home, url)
    _, [said] = imported(configured, source)
    assert "column changed: no item has updatd_at (did you mean updated_at?)" in said
    assert "column name: no detail has nmae (did you mean name?)" in said
    assert "column sku: no detail has attributes.clor" in said
    _, [again] = imported(configured, source)  # nothing has changed, so no detail is read
    assert again == "Check these paths: column changed: no item has updatd_at (did you mean updated_at?)"
    [note] = checked(configured, source).notes
    assert note == again  # details are not known from the first list page


def test_versions_and_totals_that_no_answer_has_are_said(url, home):
    source = declared(url, columns={"name": "name"}, version="updatedat", total="totl")
    _, [said] = imported(settings(home, url), source)
    assert said == (
        "Check these paths: total: no list page has totl (did you mean total?), so a list that is cut short does not "
        "show; version: no item has updatedat (did you mean updated_at?), so no item counts as unchanged"
    )


def test_a_column_that_another_process_filled_is_not_named(url, home):
    configured = settings(home, url)
    source = declared(url, columns={"name": "name", "price": "prise"})
    imported(configured, source)
    watch_paths(source)
    source.stub({"id": 1})  # what this process reads of the rest has neither
    assert len(unmet_paths(source)) == 2
    with tracking(configured) as connection:
        assert unmet_by_all(connection, source) == ["column price: no item has prise"]


def test_right_paths_say_nothing(url, home):
    source = declared(url, detail="/api/items/{id}", columns={"name": "name", "all": Column(".", type="json")})
    configured = settings(home, url)
    assert imported(configured, source)[1] == []
    assert checked(configured, source).notes == ()


def plan(home, url, **words):
    configured = settings(home, url)
    with open_installation(configured, configure([declared(url, **words)], configured)) as installation:
        return plan_import(installation, installation.source("things"))


@pytest.mark.parametrize(("version", "is_promised"), [("updated_at", True), ("updatedat", False), (None, False)])
def test_a_plan_promises_unchanged_details_only_if_an_item_has_a_version(url, home, version, is_promised):
    words = {"total": "total", "detail": "/api/items/{id}", "per_page": 10, "version": version}
    assert plan(home, url, **words).details_may_be_fewer is is_promised


def test_a_plan_names_the_key_that_states_the_number_of_items(url, home):
    pages = PageNumber(size="perPage")
    assert plan(home, url, per_page=10, pages=pages).total_advice == (
        "if its pages state it, declare its path with the key `total`"
    )
    assert plan(home, url, per_page=10, pages=pages, total="totl").total_advice == (
        "check things.total, which finds no number on the first page"
    )


def test_the_check_of_a_source_says_that_the_page_size_has_no_effect(url, home):
    source = declared(url, columns={"name": "name"}, pages=PageNumber(size="pageSize", last="last_page"), per_page=7)
    [note] = checked(settings(home, url), source).notes
    assert "and 7 were requested by pageSize: the API ignores or limits pageSize;" in note
