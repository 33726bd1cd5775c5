"""The properties of a source with slices: each list is by itself, and a key stays in its place."""

from typing import Any

import httpx

from import_pipeline.conformance.odd_ids import ODD_ID, place_of
from import_pipeline.conformance.trial import Outcome, Trial
from import_pipeline.contracts import ImportSource
from import_pipeline.importer.discovery.list_page import SourceList


def failed_slice_problem(trial: Trial, expected: Outcome | None) -> str | None:
    """Refuse one list each time: all items of the others must be there, and the import must say what it lacks."""
    transport, refused = trial.transport(), set[tuple[Any, ...]]()

    def refuse(request: httpx.Request, is_list: bool, number: int) -> httpx.Response | None:
        place = (request.method, str(request.url), request.content)
        if is_list and number == 0:
            refused.add(place)
        return httpx.Response(400, json={"message": "no such list"}) if is_list and place in refused else None

    transport.fault = refuse
    taken = trial.outcome(transport)
    summary = taken.summary
    if summary.status != "completed":
        return f"the import is {summary.status}: {summary.failure_reason}"
    if summary.slices_failed_count != 1 or not summary.incomplete_reason:
        return f"{summary.slices_failed_count} slices failed, expected the one whose list was refused"
    changed = {key for key, row in taken.rows.items() if expected is None or expected.rows.get(key) != row}
    return f"other rows than without it: {', '.join(sorted(changed))}" if changed else None


def odd_key_problem(source: ImportSource) -> str | None:
    """Return a problem if a parent's id with odd characters changes the address of its list. Raises HookFailed."""
    if source.parent is None:
        return None  # the source has chosen its keys itself
    requests = [SourceList(source=source, key=key).first_request() for key in ("plain", ODD_ID)]
    if place_of(requests[0]) == place_of(requests[1]):
        return None
    return f"the key {ODD_ID!r} changes the address of its list: put it in by path_segment(key)"
