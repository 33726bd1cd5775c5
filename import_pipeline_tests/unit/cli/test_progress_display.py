"""The live display keeps count, percentage and bar on a narrow terminal."""

import io
from datetime import timedelta

import pytest
from rich.console import Console

from import_pipeline.cli.progress_display import ProgressLines
from import_pipeline.importer.monitoring.view import view_of
from import_pipeline.rules.status import ImportStatus
from import_pipeline_tests.support.import_rows import NOON, an_import

REMARK = "1 item waiting for a retry, the next in 10.2 s, 22.3 items/s, 17.2 s left, 2 x 429"


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("source", ["items", "a-source-with-a-name-that-is-rather-long"])
def test_a_long_remark_takes_neither_count_nor_percentage_nor_bar(width, source):
    row = an_import(
        source=source,
        status=ImportStatus.RUNNING,
        started_at=NOON - timedelta(seconds=90),
        ended_at=None,
        items_count=600,
        items_imported_count=280,
        items_failed_count=12,
    )
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    progress = ProgressLines(console)
    progress.show(view_of(row, "", NOON), REMARK)
    console.print(progress.get_renderable())
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 2
    assert "292/600 48%" in lines[0]
    assert lines[0].count("━") >= 5
    assert max(map(len, lines)) <= width
    assert lines[1].startswith("  12 failed, 1 item waiting for a retry, the next in 10.2 s")


def test_an_unknown_total_is_a_question_mark():
    row = an_import(status=ImportStatus.RUNNING, started_at=NOON, ended_at=None, items_count=None)
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    progress = ProgressLines(console)
    progress.show(view_of(row, "", NOON), "")
    console.print(progress.get_renderable())
    assert "/?" in console.file.getvalue()
