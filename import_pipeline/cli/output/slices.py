"""The slices of an import that were not read whole, for people."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from import_pipeline.cli.output.formatting import escape
from import_pipeline.tracking.lists.slices import FailedSlice


def print_failed_slices(console: Console, unread: Sequence[FailedSlice]) -> None:
    """Print the slices that failed, or whose end is doubtful, with the reasons."""
    if not unread:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("failed slice", overflow="fold")
    table.add_column("tries")
    table.add_column("reason", overflow="fold", ratio=1)
    for each in unread:
        table.add_row(escape(each.key), "-" if each.is_read else str(each.failure_count), escape(each.reason))
    console.print()
    console.print(table)
