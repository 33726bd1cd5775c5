"""A narrow terminal gets fewer columns."""

import io
import re

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from import_pipeline.cli.output.tables import LIST_COLUMNS, Column, fitting, print_columns

ROW = ["1234", "items", "full", "[green]completed[/green]", "2030-06-01 12:00 UTC", "20000/20000", "0", "12"]
ROW += ["1 h 05 min", "0", "1.003"]


def printed(width: int) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    print_columns(console, LIST_COLUMNS, [ROW])
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return [re.split(r" {2,}", line.strip()) for line in lines]


def test_the_columns_of_least_worth_go_first() -> None:
    columns = [Column(name="id", worth=2), Column(name="a", worth=0), Column(name="b", worth=1)]
    rows = [["1", "aaaa", "bbbb"]]
    assert [fitting(columns, rows, width) for width in (14, 13, 8, 7, 1)] == [[0, 1, 2], [0, 2], [0, 2], [0], [0]]


@given(width=st.integers(4, 200))
def test_the_id_and_then_the_status_are_whole_however_narrow_the_terminal(width: int) -> None:
    head, row = printed(width)
    assert (head[0], row[0]) == ("id", "1234")
    assert ("completed" in row) is (width >= len("1234  completed"))


def test_nothing_is_wider_than_the_terminal() -> None:
    console = Console(file=io.StringIO(), width=60, highlight=False)
    print_columns(console, LIST_COLUMNS, [ROW])
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 2
    assert all(len(line.rstrip()) <= 60 for line in lines)
