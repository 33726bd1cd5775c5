"""Ids with characters that mean something in an address."""

from collections.abc import Iterator
from typing import Any

import httpx

from import_pipeline.conformance.trial import Trial
from import_pipeline.contracts.batches import is_batched

#: An id as some API has it, with characters that mean something in an address.
ODD_ID = "../a b?c=ü&d#e%2F"


def odd_id_problem(trial: Trial) -> str | None:
    """Return a problem if such an id changes the address of its detail; None if it stays in its place.

    The path has as many parts as with a plain id, and query and fragment do not change.
    """
    importable = next(_stubs(trial), None)
    if importable is None or not (is_batched(trial.source) or hasattr(importable, "detail_request")):
        return None
    places = []
    for each in ("plain", ODD_ID):
        importable.external_id = each
        request = (
            trial.source.details_request([importable]) if is_batched(trial.source) else importable.detail_request()
        )
        if request is None:
            return None  # the list has the items whole
        places.append(place_of(request))
    if places[0] != places[1]:
        return f"the id {ODD_ID!r} changes the address of its detail: put it in by path_segment(self.external_id)"
    return None


def place_of(request: httpx.Request) -> tuple[int, int, str]:
    """Return the number of parts of the request's path, the number of its parameters, and its fragment."""
    url = request.url
    return url.raw_path.partition(b"?")[0].count(b"/"), len(url.params), url.fragment


def _stubs(trial: Trial) -> Iterator[Any]:
    transport = trial.transport()
    trial.outcome(transport)
    for page in transport.pages:
        page.request = httpx.Request("GET", "https://api.test/")
        for item in trial.source.items(page):
            yield trial.source.stub(item, "1") if trial.source.is_sliced else trial.source.stub(item)
