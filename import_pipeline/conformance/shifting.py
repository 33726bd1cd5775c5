"""Lists that change while they are read: an item is removed, so that all after it slide forward by one place."""

import copy
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import httpx

from import_pipeline.conformance.trial import Trial
from import_pipeline.contracts import ImportSource
from import_pipeline.contracts.paginators import Cursor, LastId


def shifting_checks(trial: Trial) -> Iterator[tuple[str, Callable[[], str | None]]]:
    """Yield the property of a list whose pages slide. Without a total, nothing shows a removed item in one reading."""
    has_total = type(trial.source).total is not ImportSource.total
    if has_total and not trial.source.read_twice and not isinstance(trial.source.pages, Cursor | LastId):
        yield "an item that slides onto a page that was read already is found", partial(_shifting, trial)


def _shifting(trial: Trial) -> str | None:
    """Remove the first item after page one was read; all others must be there, or the import says what it lacks."""
    plain = trial.transport()
    expected = trial.outcome(plain)
    sizes = [len(list(trial.source.items(page))) for page in plain.pages]
    if len(sizes) < 2 or trial.source.total(plain.pages[0]) is None:
        return None
    taken = trial.outcome(*_sliding(trial, plain.pages, sizes))
    missing = len(set(expected.rows) - set(taken.rows))
    if missing and taken.summary.status == "completed" and not taken.summary.incomplete_reason:
        return f"{missing} of the items lost: return by `total` what each page says, also if it changes"
    return None


def _sliding(trial: Trial, pages: list[httpx.Response], sizes: list[int]) -> tuple[Any, ImportSource]:
    """Return a transport, and a source whose pages slide after the first one was answered."""
    transport, source = trial.transport(), copy.copy(trial.source)
    whole = [item for page in pages for item in trial.source.items(page)]
    total = source.total

    def items_of(response: httpx.Response) -> Iterable[Any]:
        number = (transport.lists - 1) % len(sizes)
        start = sum(sizes[:number])
        slid = int(transport.lists > 1)
        return whole[start + slid : start + sizes[number] + slid]

    def total_of(response: httpx.Response) -> int | None:
        found = total(response)
        return found if found is None or transport.lists == 1 else found - 1

    source.items = items_of  # type: ignore[method-assign, assignment]
    source.total = total_of  # type: ignore[method-assign, assignment]
    return transport, source
