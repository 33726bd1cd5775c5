"""Items that wait for a retry: due now while the import runs, not retried after its end."""

import io
from datetime import timedelta

import pytest
from rich.console import Console

from import_pipeline.cli.output.tables import print_failed
from import_pipeline.panel.formatting import due
from import_pipeline.tracking import items
from import_pipeline_tests.support.import_rows import NOON
from import_pipeline_tests.support.panel_client import add_import, add_items, open_panel

FAILED = {"status": "failed", "failure_count": 1, "failure_reason": "500"}
STARTED = {"started_at": NOON - timedelta(seconds=30), "items_count": 3, "items_failed_count": 0}


@pytest.mark.anyio
@pytest.mark.parametrize("ended_as", ["cancelled", "failed"])
async def test_an_ended_import_retries_no_waiting_item(home, ended_as):
    async with open_panel(home) as panel:
        import_id = add_import(
            panel.installation, **STARTED | {"status": ended_as, "ended_at": NOON, "items_failed_count": 1}
        )
        add_items(panel.installation, import_id, FAILED | {"next_attempt_at": NOON + timedelta(seconds=19)})
        page = (await panel.get(f"/imports/{import_id}")).text
        assert f"1 not retried: {ended_as}" in page
        assert f'data-label="Next try">not retried: {ended_as}<' in page
        assert "waiting for a retry" not in page
        with panel.installation.database.read() as connection:
            found = items.failures(connection, import_id, 10)
    console = Console(file=io.StringIO(), width=120)
    print_failed(console, found, 1, shown=10, ended_as=ended_as)
    assert f"not retried: {ended_as}" in console.file.getvalue()


@pytest.mark.anyio
async def test_a_retry_whose_time_has_come_is_due_now(home):
    async with open_panel(home) as panel:
        row = STARTED | {"status": "running", "host": "a", "pid": 1, "heartbeat_at": NOON}
        import_id = add_import(panel.installation, **row)
        add_items(panel.installation, import_id, FAILED | {"next_attempt_at": NOON - timedelta(seconds=3)})
        page = (await panel.get(f"/imports/{import_id}")).text
        assert "1 retry waiting, the next due now" in page
        assert "1 waiting for a retry, due now" in page


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("imported", "sentence"),
    [(0, "Nothing was imported so far; all items can be retried later."), (2, "2 imported items are kept;")],
)
async def test_the_dialog_of_cancel_promises_only_what_was_imported(home, imported, sentence):
    async with open_panel(home) as panel:
        row = {"status": "running", "host": "a", "pid": 1, "heartbeat_at": NOON, "started_at": NOON, "items_count": 9}
        failed_too = {"items_imported_count": imported, "items_failed_count": 2}
        import_id = add_import(panel.installation, **row, **failed_too)
        assert sentence in (await panel.get(f"/imports/{import_id}/cancel")).text


@pytest.mark.parametrize(("seconds", "shown"), [(-3.0, "due now"), (0.0, "due now"), (5.0, "in 5 s")])
def test_a_time_that_has_passed_is_due_now(seconds, shown):
    assert due(seconds) == shown
