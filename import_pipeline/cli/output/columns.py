"""Tables that fit their terminal: the columns of least worth go first."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

#: Spaces between two columns.
GAP = 2


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: its heading, and how long it stays on a narrow terminal. What is worth most goes last."""

    name: str
    worth: int
    is_number: bool = False


def fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The places of the columns that fit the width, in their order; the one of most worth is always among them.

    Cells may hold Rich's markup.
    """
    widths = [
        max([len(column.name), *(Text.from_markup(row[place]).cell_len for row in rows)])
        for place, column in enumerate(columns)
    ]
    kept = sorted(range(len(columns)), key=lambda place: columns[place].worth, reverse=True)
    while len(kept) > 1 and sum(widths[place] + GAP for place in kept) - GAP > width:
        kept.pop()
    return sorted(kept)


def print_columns(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print the rows with as many columns as fit."""
    places = fitting(columns, rows, console.width)
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    for place in places:
        table.add_column(columns[place].name, justify="right" if columns[place].is_number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(row[place] for place in places))
    console.print(table)
