"""Store the rows of a refused batch one by one, then the blocked ones again, then swaps.

Each row has a transaction, not a savepoint: deferred constraints and triggers refuse a row only at the commit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy.exc import StatementError

from import_pipeline.tracking.user_rows.row_writing import RowsRefused, refusal_of

T = TypeVar("T")
#: Stores units in one transaction; the second argument says if they exchange unique values.
Attempt = Callable[[Sequence[T], bool], None]


@dataclass(frozen=True, kw_only=True)
class Apart(Generic[T]):
    """The rows of a refused batch, by outcome."""

    stored: list[T]
    refused: list[tuple[T, RowsRefused]]  #: refused, and no other row blocks them
    waiting: list[tuple[T, RowsRefused]]  #: refused, but may pass once other rows of the import are stored


def store_apart(model: type[Any], units: Sequence[T], attempt: Attempt[T]) -> Apart[T]:
    """Store each unit by itself. Units that another row may block are tried again after the others."""
    result: Apart[T] = Apart(stored=[], refused=[], waiting=[])
    again = []
    for unit in units:
        refusal = _refusal(model, [unit], attempt)
        if refusal is not None and refusal.may_pass:
            again.append(unit)
        else:
            _add(result, unit, refusal)
    for unit in again:
        _add(result, unit, _refusal(model, [unit], attempt))
    return result


def store_swaps(
    model: type[Any],
    waiting: Sequence[tuple[T, RowsRefused]],
    attempt: Attempt[T],
    groups_of: Callable[[Sequence[T]], list[list[T]]],
) -> Apart[T]:
    """Store the waiting units: each by itself again, then groups that exchange unique values."""
    result = store_apart(model, [unit for unit, _ in waiting], attempt)
    for group in groups_of([unit for unit, _ in result.waiting]):
        if _refusal(model, group, attempt, swaps=True) is None:
            members = {id(unit) for unit in group}
            result.stored.extend(group)
            result.waiting[:] = [pair for pair in result.waiting if id(pair[0]) not in members]
    return result


def _refusal(model: type[Any], units: Sequence[T], attempt: Attempt[T], *, swaps: bool = False) -> RowsRefused | None:
    """Store the units. Return the refusal, or None. Raises errors that are not about a row."""
    try:
        attempt(units, swaps)
    except (RowsRefused, StatementError) as error:
        refusal = refusal_of(error, model)
        if refusal is None:
            raise
        return refusal
    return None


def _add(result: Apart[T], unit: T, refusal: RowsRefused | None) -> None:
    if refusal is None:
        result.stored.append(unit)
    else:
        (result.waiting if refusal.may_pass else result.refused).append((unit, refusal))
