"""Hooks that raise, through a real `dagster dev`: each import ends by itself, with the hook's name in its reason."""

import pytest

from import_pipeline_tests.acceptance.dagster_dev import DagsterDev

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def dev(checkout, tmp_path_factory):
    """A `dagster dev` with sources whose hooks are broken."""
    names = ("BROKEN_LIST", "BROKEN_ITEM", "BROKEN_REQUEST")
    sources = {"IMPORT_PIPELINE_SOURCES": "import_pipeline_tests.support.broken_sources:SOURCES"}
    living = DagsterDev(checkout, tmp_path_factory.mktemp("dev"), **sources)
    shared = living.command.environment
    for name in names:
        shared |= {f"{name}_{each}": shared[f"ITEMS_{each}"] for each in ("BASE_URL", "LIMITS", "LEASE", "SLOTS")}
    try:
        living.start()
        yield living
    finally:
        living.end()


@pytest.mark.parametrize(
    ("source", "status", "reason"),
    [
        ("broken_list", "failed", "BrokenList.list_request raises SystemExit: 3 ("),
        ("broken_item", "completed", None),
        ("broken_request", "failed", "list page 1: BrokenRequest.is_rate_limited raises CancelledError ("),
    ],
)
def test_the_import_ends_in_its_first_run_and_names_the_hook(dev, source, status, reason):
    with dev.serving("--items", "3"):
        dev.command.run("request", source, "--yes")
        started = dev.wait_for(f"source = '{source}' AND started_at IS NOT NULL")
        row = dev.ended(started["id"], status)
    assert row["resumes"] == 0
    if reason is not None:
        assert row["failure_reason"].startswith(reason)
        return
    assert (row["items_imported_count"], row["items_failed_count"]) == (2, 1)
    [failed] = dev.query(f"SELECT * FROM import_item_statuses WHERE import_id = {row['id']} AND status = 'failed'")
    assert failed["failure_reason"].startswith("OfItem.populate raises Panic: in Rust (")
