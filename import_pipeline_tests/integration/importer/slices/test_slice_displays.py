"""Slices as commands, the panel, Dagster and programs show them."""

import json
from dataclasses import replace

import dagster as dg
import httpx
import pytest

from import_pipeline.cli import main
from import_pipeline.defs import metadata, names
from import_pipeline.defs.assets import build_assets
from import_pipeline.defs.build import build_import_definitions
from import_pipeline.defs.links import links_of
from import_pipeline.defs.translation import keys
from import_pipeline.importer.control.deletion import prune
from import_pipeline.importer.control.plan import plan_import
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.slices.first_slice import parents_first
from import_pipeline.importer.source_loader import configure
from import_pipeline.tracking.lists.slice_table import import_slices
from import_pipeline_tests.support.imports import served, tracking
from import_pipeline_tests.support.panel_client import open_panel
from import_pipeline_tests.support.sliced_api import Comments, Issues, SlicedApi, Windows, comments_of
from import_pipeline_tests.support.sliced_imports import Importing, all_of

SIZES = [3, 15, 0, 4]


@pytest.fixture
def importing(home):
    """An import of four slices, of which one failed."""
    found = Importing(home, SlicedApi(comments_of(SIZES), answers={"2": httpx.Response(404)}))
    found.parents()
    found.children()
    return found


def shown(importing, monkeypatch, capsys, *arguments):
    """The output of the command, in that home."""
    monkeypatch.setenv("IMPORT_PIPELINE_HOME", str(importing.settings.home))
    with pytest.raises(SystemExit):
        main(list(arguments))
    return capsys.readouterr().out


def test_show_names_the_slices_and_why_one_failed(importing, monkeypatch, capsys):
    text = shown(importing, monkeypatch, capsys, "show", "2")
    assert "3 of 4 read, 1 failed" in text
    assert "failed slice" in text
    found = json.loads(shown(importing, monkeypatch, capsys, "show", "2", "--json"))
    counts = {name: found[name] for name in found if name.startswith("slices_")}
    assert counts == {"slices_count": 4, "slices_completed_count": 3, "slices_failed_count": 1}
    [failed] = found["failed_slices"]
    assert (failed["key"], failed["failure_count"], failed["next_attempt_at"], failed["is_read"]) == (
        "2",
        1,
        None,
        False,
    )
    assert "404" in failed["reason"]
    listed = json.loads(shown(importing, monkeypatch, capsys, "list", "--json"))
    assert [each["slices_count"] for each in listed["imports"]] == [4, None]


@pytest.mark.anyio
async def test_the_panel_shows_the_slices(importing, home):
    async with open_panel(home) as panel:
        page = (await panel.get("/imports/2")).text
        assert "3 of 4 slices read, 1 failed" in page
        assert "Slices that were not read whole" in page
        assert "Retry 1 slice<" in page
        asked = (await panel.get("/imports/2/retry")).text
        assert "Retry 1 slice of import 2?" in asked
        assert "the failed and unfinished items and reads the slices again" in asked
        body = (await panel.get("/api/imports/2")).json()
        assert [each["key"] for each in body["failed_slices"]] == ["2"]
        assert "slices read" not in (await panel.get("/imports/1")).text


def test_dagsters_metadata_has_the_slices_and_the_childs_list_depends_on_the_parents(importing):
    summary = importing.children()
    found = metadata.of_summary(summary)
    assert [found[f"slices_{name}"].value for name in ("total", "completed", "failed")] == [4, 3, 1]
    assert "slices_total" not in metadata.of_summary(replace(summary, slices_count=None))
    links = links_of(importing.settings)
    _, assets = build_assets(Comments(), links)
    assert assets.asset_deps[keys.discovered(Comments())] == {keys.discovered(Issues())}


def test_a_retry_that_dagster_launches_reads_the_failed_slice(importing, monkeypatch):
    importing.api.answers.clear()
    importing.api.asked.clear()
    with served(importing.api.app) as url, dg.DagsterInstance.ephemeral() as instance:
        given = {"IMPORT_PIPELINE_HOME": str(importing.settings.home), "COMMENTS_BASE_URL": url}
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        definitions = build_import_definitions(Comments())
        asked = {"ops": {"retry_leftovers_of_comments": {"config": {"import_id": 2}}}}
        definitions.resolve_job_def("retry_comments_import").execute_in_process(instance=instance, run_config=asked)
        job = definitions.resolve_job_def("import_comments")
        assert job.execute_in_process(instance=instance, tags={names.IMPORT_ID_TAG: "3"}).success
    row = importing.row
    assert (row.retry_of, row.status, row.slices_completed_count) == (2, "completed", 1)
    assert ({issue for issue, _ in importing.api.asked}, importing.comments) == ({"2"}, all_of(importing.api))


def test_a_plan_counts_a_page_per_slice_and_those_that_the_items_fill(importing):
    del importing.api.answers["2"]
    importing.children()
    planned = plan(importing, Comments())
    assert (planned.slices_count, planned.items_count, planned.list_requests) == (4, 22, 4 + 22 // 10)
    unknown = plan(Importing(importing.settings.home.parent / "other", importing.api), Windows(["1", "3"]))
    assert (unknown.slices_count, unknown.items_count, unknown.list_requests) == (2, None, None)


class ChangedOnly(Comments):
    """Reads the comments of changed issues only."""

    changed_only = True


def test_a_plan_counts_the_slices_of_changed_parents_and_those_that_failed(importing):
    assert plan(importing, ChangedOnly()).slices_count == 1


def test_a_plan_without_slices_costs_nothing(home):
    planned = plan(Importing(home, SlicedApi({})), Comments())
    assert (planned.slices_count, planned.requests_count) == (0, 0)


def plan(importing, source):
    """The plan, from a server that answers as the API does."""

    async def answer(scope, receive, send):
        request = httpx.Request("GET", f"https://x{scope['raw_path'].decode()}?{scope['query_string'].decode()}")
        body = json.dumps(importing.api(request)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})

    with served(answer) as url:
        source.base_url = url
        with open_installation(importing.settings, configure([source], importing.settings)) as installation:
            return plan_import(installation, installation.source("comments"))


def test_parents_are_imported_before_their_children():
    class Answers(Comments):
        name = "answers"
        parent = Comments

    order = [each.name for each in parents_first([Answers(), Comments(), Issues()])]
    assert order == ["issues", "comments", "answers"]


def test_pruning_keeps_the_slices_that_failed(importing):
    with open_installation(importing.settings, configure([Comments()], importing.settings)) as installation:
        prune(installation, days=-1)
    with tracking(importing.settings) as connection:
        assert [row.key for row in connection.execute(import_slices.select())] == ["2"]
