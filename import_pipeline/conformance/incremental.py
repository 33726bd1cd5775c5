"""Incremental imports in the conformance kit: what a second import reads, and an item that failed in the first."""

from collections.abc import Callable, Iterator
from functools import partial

import httpx

from import_pipeline.conformance.batches import WatchedRequests
from import_pipeline.conformance.trial import Trial
from import_pipeline.wording import plural

#: List pages of an import without changes: those with the items at the bookmark, and one to see the end.
MOST_PAGES = 2
_BROKEN = httpx.Response(200, headers={"Content-Type": "application/json"}, text='{"id": ')


def incremental_checks(trial: Trial) -> Iterator[tuple[str, Callable[[], str | None]]]:
    """Yield the properties of an incremental source by their names."""
    if trial.source.incremental is None:
        return
    yield "an import without changes reads only the end of the list", partial(_second_import, trial)
    yield "an item that failed is fetched by the next import, whether it changed or not", partial(_failed_item, trial)


def _second_import(trial: Trial) -> str | None:
    transport = trial.transport()
    with trial.installation() as installation:
        trial.run(installation, transport)
        for _ in range(2):  # counted pages with numbers as positions are listed once more
            before = transport.lists
            summary = trial.run(installation, transport)
            if summary.since is None:
                return "the import before left no bookmark: `position` must return a number, a past time or a text"
            pages = transport.lists - before
            if trial.source.is_sliced or pages <= MOST_PAGES:
                return None
    request = trial.source.hook_words.get("changes_request", "changes_request")
    return f"{plural(pages, 'list page')} read again: `{request}` must ask for what changed since the position"


def _failed_item(trial: Trial) -> str | None:
    watched, transport, asked = WatchedRequests(trial.source), trial.transport(), list[bool]()

    def broken(request: httpx.Request, is_list: bool, number: int) -> httpx.Response | None:
        return _BROKEN if not is_list and watched.has_item(request) else None

    def counted(request: httpx.Request, is_list: bool, number: int) -> httpx.Response | None:
        asked.append(not is_list and watched.has_item(request))
        return None

    with trial.installation(watched.source) as installation:
        transport.fault = broken
        first = trial.outcome_of(installation, trial.run(installation, transport))
        transport.fault = counted
        second = trial.outcome_of(installation, trial.run(installation, transport))
    if not first.failures:
        return None  # the list has the items whole
    if second.failures or second.summary.status != "completed":
        return f"the next import is {second.summary.display_status}: {second.summary.failure_reason or second.failures}"
    return None if any(asked) else f"no request for its details: {', '.join(first.failures)}"
