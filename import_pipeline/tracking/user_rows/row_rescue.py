"""Storing what is left of a batch that was refused: each row in a transaction of its own, then once more, then swaps.

A transaction each, and no savepoints: constraints and triggers that are deferred refuse a row only at its commit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy.exc import StatementError

from import_pipeline.tracking.user_rows.row_writing import RowsRefused, refusal_of

T = TypeVar("T")
#: Stores those in one transaction, the second argument saying whether they hand unique values to each other.
Attempt = Callable[[Sequence[T], bool], None]


@dataclass(frozen=True, kw_only=True)
class Apart(Generic[T]):
    """What became of the rows of a refused batch."""

    stored: list[T]
    refused: list[tuple[T, RowsRefused]]  #: those that no other row stands in the way of
    waiting: list[tuple[T, RowsRefused]]  #: those that may pass once other rows of the import are stored


def store_apart(model: type[Any], units: Sequence[T], attempt: Attempt[T]) -> Apart[T]:
    """Store each by itself; what another row stood in the way of is tried once more after the rest."""
    result: Apart[T] = Apart(stored=[], refused=[], waiting=[])
    again = []
    for unit in units:
        refusal = _refusal(model, [unit], attempt)
        if refusal is not None and refusal.may_pass:
            again.append(unit)
        else:
            _enter(result, unit, refusal)
    for unit in again:
        _enter(result, unit, _refusal(model, [unit], attempt))
    return result


def store_swaps(
    model: type[Any],
    waiting: Sequence[tuple[T, RowsRefused]],
    attempt: Attempt[T],
    groups_of: Callable[[Sequence[T]], list[list[T]]],
) -> Apart[T]:
    """Store what still waits: each once more, then those that hand unique values to each other, a group at a time."""
    result = store_apart(model, [unit for unit, _ in waiting], attempt)
    for group in groups_of([unit for unit, _ in result.waiting]):
        if _refusal(model, group, attempt, swaps=True) is None:
            members = {id(unit) for unit in group}
            result.stored.extend(group)
            result.waiting[:] = [pair for pair in result.waiting if id(pair[0]) not in members]
    return result


def _refusal(model: type[Any], units: Sequence[T], attempt: Attempt[T], *, swaps: bool = False) -> RowsRefused | None:
    """Why those cannot be stored; None where they are. Raises what the database says of itself."""
    try:
        attempt(units, swaps)
    except (RowsRefused, StatementError) as error:
        refusal = refusal_of(error, model)
        if refusal is None:
            raise
        return refusal
    return None


def _enter(result: Apart[T], unit: T, refusal: RowsRefused | None) -> None:
    if refusal is None:
        result.stored.append(unit)
    else:
        (result.waiting if refusal.may_pass else result.refused).append((unit, refusal))
