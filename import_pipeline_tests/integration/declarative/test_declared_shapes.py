"""Other styles of API in YAML: at most 25 lines each, and the rows that the sources in Python leave."""

from pathlib import Path

import pytest

from import_pipeline import examples, run_import
from import_pipeline.importer.source_loader import load_sources
from import_pipeline.settings import load_settings
from import_pipeline.tracking import events
from import_pipeline_tests.support.imports import counts, rows, tracking
from import_pipeline_tests.support.shapes import CASES, ShapeCase

FOLDER = Path(examples.__file__).parent / "shapes" / "declared"
DECLARED = [case for case in CASES if case.source != "stories"]  # their details are XML
EXPORT = ShapeCase(
    module="link_header",
    shape="export",
    source="tickets",
    columns=("subject", "requester"),
    row=lambda each: (str(each.number), each.name, each.email),
    limits="20/1 second",
    per_page=1000,
)


def settings_of(environment, home, case, url):
    name = case.source.upper()
    values = {f"{name}_BASE_URL": url, f"{name}_TOKEN": "shape-token", f"{name}_LIMITS": case.limits}
    files = {"IMPORT_PIPELINE_HOME": str(home), "IMPORT_PIPELINE_SOURCES": f"{FOLDER}/*.yaml"}
    return load_settings(environment | values | files, home.parent)


def stored(settings, case):
    [source] = [each for each in load_sources(settings) if each.name == case.source]
    found = rows(settings, source.model)
    return {key: (key, *(row[column] for column in case.columns)) for key, row in found.items()}


@pytest.mark.parametrize("case", [*DECLARED, EXPORT], ids=str)
def test_a_declared_source_leaves_the_same_rows(case, home):
    with case.served() as (shape, environment):
        url = next(value for name, value in environment.items() if name.endswith("_BASE_URL"))
        settings = settings_of(environment, home, case, url)
        for _ in range(2):
            if case.before:
                assert run_import(case.before, settings=settings).status == "completed"
            summary = run_import(case.source, settings=settings)
            assert (summary.status, summary.items_failed_count, summary.incomplete_reason) == ("completed", 0, None)
            assert stored(settings, case) == case.expected(shape)
            with tracking(settings) as connection:  # no right path is called into question
                happened = events.latest(connection, summary.import_id)
            assert "paths_not_found" not in {action for _, action, _ in happened}
        assert shape.counters.refusals == []
    assert counts(summary)[0] == "completed"


def test_changes_and_deletions_arrive_in_the_next_import(home):
    with EXPORT.served() as (shape, environment):
        settings = settings_of(environment, home, EXPORT, next(iter(environment.values())) and url_of(environment))
        assert run_import("tickets", settings=settings).items_imported_count == 50
        shape.change(update=[3], delete=[2], add=1)
        second = run_import("tickets", settings=settings)
        assert second.status == "completed"
        assert stored(settings, EXPORT).items() >= EXPORT.expected(shape).items()


def url_of(environment):
    return next(value for name, value in environment.items() if name.endswith("_BASE_URL"))


def test_each_declaration_has_at_most_25_lines():
    documents = [text for path in FOLDER.glob("*.yaml") for text in path.read_text().split("---\n")]
    assert len(documents) == 9
    assert max(len(text.splitlines()) for text in documents) <= 25
