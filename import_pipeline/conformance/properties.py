"""The properties that a source keeps, each an import with another fault in between."""

import copy
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import httpx

from import_pipeline.conformance.batches import WatchedRequests, without_first_item
from import_pipeline.conformance.error_answers import error_answer_problem
from import_pipeline.conformance.incremental import incremental_checks
from import_pipeline.conformance.odd_ids import odd_id_problem
from import_pipeline.conformance.shifting import shifting_checks
from import_pipeline.conformance.slices import failed_slice_problem, odd_key_problem
from import_pipeline.conformance.trial import Outcome, Trial
from import_pipeline.contracts import ImportSource
from import_pipeline.contracts.batches import is_batched
from import_pipeline.wording import plural

#: Requests after which a list that never ends is taken for endless.
MOST_PAGES = 1_000
#: List pages at which the process is killed.
MOST_DEATHS = 3


#: The answers to the detail of an item that is gone, and to one that broke off.
MISSING = httpx.Response(404, json={"message": "Not Found"})
BROKEN = httpx.Response(200, headers={"Content-Type": "application/json"}, text='{"id": ')


class _Killed(BaseException):
    """The process ends here."""


class Properties:
    """The checks of one source."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self.expected: Outcome | None = None
        self._pages = 0

    def checks(self) -> Iterator[tuple[str, Callable[[], str | None]]]:
        """Yield the properties by their names."""
        source = self._trial.source
        yield "every item of the list is imported", self._plain
        if type(source).version is not ImportSource.version:  # else each import fetches all of them
            yield "a second import without changes fetches no details", self._unchanged
        if source.is_sliced:
            yield "a slice whose list is refused fails alone", lambda: failed_slice_problem(self._trial, self.expected)
            yield "a key with odd characters stays in its place in the address", partial(odd_key_problem, source)
        else:  # a page of another slice shows nothing about the next one
            yield "an empty page in the middle of the list loses nothing silently", self._empty_page
            yield "a page that is repeated for ever ends the list as incomplete", self._repeated_page
            yield from shifting_checks(self._trial)
        yield "429 with Retry-After is waited for", partial(self._refused, {"Retry-After": "1"})
        yield "429 without a hint is waited for", partial(self._refused, {})
        if self._trial.requests_tokens:
            yield "an access token that the API refuses is renewed once", partial(self._same, _refused_token)
        yield "a storm of 500 is tried again", self._storm
        yield "a broken list page is asked for again", self._broken_page
        yield "a broken detail fails its item alone", partial(self._one_item_less, BROKEN)
        yield "an item that is gone fails or vanishes alone", partial(self._one_item_less, MISSING)
        if is_batched(self._trial.source):
            yield "an item that a batch's answer lacks fails alone", self._lacking_answer
            yield "a batch that is refused for one item is repeated without it", self._refused_batch
        if type(self._trial.source).classify is not ImportSource.classify:
            yield "classify reads any answer, also that of a proxy", partial(error_answer_problem, self._trial.source)
        yield from incremental_checks(self._trial)
        yield "an import that is killed again and again is resumed and completed", self._killed
        yield "an id with odd characters stays in its place in the address", partial(odd_id_problem, self._trial)

    def _plain(self) -> str | None:
        transport = self._trial.transport()
        taken = self._trial.outcome(transport)
        if (problem := _incompleteness(taken)) is not None:
            return problem
        if not taken.rows:
            return "the transport's list has no items: give it a few"
        self.expected, self._pages = taken, transport.lists
        return None

    def _unchanged(self) -> str | None:
        transport = self._trial.transport()
        with self._trial.installation() as installation:
            self._trial.run(installation, transport)
            before = transport.details
            self._trial.run(installation, transport)
        again = transport.details - before
        problem = f"{plural(again, 'detail')} fetched again: `version` must stay as long as the item does"
        return problem if before and again else None

    def _empty_page(self) -> str | None:
        """The list's second page seems to have no items: what it had is missing, and all after it must be there."""
        if self._pages < 3:
            return None  # no page lies in the middle
        source, hidden = copy.copy(self._trial.source), list[str]()
        read, number = source.items, iter(range(10**6))

        def items_of(response: httpx.Response) -> Iterable[Any]:
            found = list(read(response))
            key = bytes(response.request.url.raw_path) + response.request.content
            index = seen.setdefault(key, next(number) if key not in seen else -1)
            if index != 1:
                return found
            hidden.extend(str(source.stub(each).external_id) for each in found)
            return []

        seen: dict[bytes, int] = {}
        source.items = items_of  # type: ignore[method-assign, assignment]
        taken = self._trial.outcome(self._trial.transport(), source)
        missing = set(self._rows()) - set(taken.rows) - set(hidden)
        if missing and taken.summary.status == "completed" and not taken.summary.incomplete_reason:
            return (
                f"{plural(len(missing), 'item')} after the empty page lost: end the list by what the API says of the "
                "next page (a cursor, a link, a flag, a total), not by a page without items"
            )
        return None

    def _repeated_page(self) -> str | None:
        transport = self._trial.transport()

        def again(request: httpx.Request, is_list: bool, number: int) -> httpx.Response | None:
            return transport.pages[0] if is_list and number and number < MOST_PAGES else None

        transport.fault = again
        if self._pages < 2:
            return None  # its only page names no other
        summary = self._trial.outcome(transport).summary
        if transport.lists >= MOST_PAGES:
            return "the list has no end"
        if summary.status == "completed" and not summary.incomplete_reason:
            return "the import is completed, although the list repeated its first page"
        return None

    def _refused(self, headers: Mapping[str, str]) -> str | None:
        refusal = httpx.Response(429, headers=dict(headers))
        return self._same(lambda request, is_list, number: refusal if number == 0 else None)

    def _storm(self) -> str | None:
        seen = set[tuple[str, str, bytes]]()
        # A batch that failed is repeated in smaller ones: other requests, which would fail again up to the last try.
        most_broken = 0 if is_batched(self._trial.source) else sys.maxsize

        def once(request: httpx.Request, is_list: bool, number: int) -> httpx.Response | None:
            key = (request.method, str(request.url), request.content)
            if key in seen or (not is_list and number > most_broken):
                return None
            seen.add(key)
            return httpx.Response(500, text="oops")

        return self._same(once)

    def _broken_page(self) -> str | None:
        page = httpx.Response(200, headers={"Content-Type": "text/html"}, text="<html>Maintenance</html>")
        return self._same(lambda request, is_list, number: page if is_list and number == 0 else None)

    def _refused_batch(self) -> str | None:
        return self._one_item_less(httpx.Response(400, json={"message": "an id is not valid"}))

    def _killed(self) -> str | None:
        """Some list pages and details in turn are the last request of their process."""
        transport = self._trial.transport()
        deaths = [(True, number) for number in range(1, 2 * MOST_DEATHS, 2)] + [(False, 1), (False, 4)]

        def die(request: httpx.Request, is_list: bool, number: int) -> httpx.Response | None:
            if (is_list, number) in deaths:
                raise _Killed
            return None

        transport.fault = die
        with self._trial.installation() as installation:
            for _ in range(len(deaths) + 1):
                with suppress(_Killed):
                    return self._difference(
                        self._trial.outcome_of(installation, self._trial.run(installation, transport))
                    )
        return "the import does not come to its end"

    def _same(self, fault: Callable[[httpx.Request, bool, int], httpx.Response | None]) -> str | None:
        """Import with the fault; everything must be there as without it."""
        transport = self._trial.transport()
        transport.fault = fault
        return self._difference(self._trial.outcome(transport))

    def _one_item_less(self, wrong: httpx.Response) -> str | None:
        """Answer the first item's detail so each time; all other items must be there as without it."""
        transport, watched = self._trial.transport(), WatchedRequests(self._trial.source)

        def same_item(request: httpx.Request, is_list: bool, number: int) -> httpx.Response | None:
            return wrong if not is_list and watched.has_item(request) else None

        transport.fault = same_item
        taken = self._trial.outcome(transport, watched.source)
        if not watched.item:
            return None  # the list has the items whole
        return _problem_of_one(taken, self._rows())

    def _lacking_answer(self) -> str | None:
        """Let answers lack an item; all others must be there as without it."""
        taken = self._trial.outcome(self._trial.transport(), without_first_item(self._trial.source))
        return _problem_of_one(taken, self._rows())

    def _difference(self, taken: Outcome) -> str | None:
        """Return what the import differs in from the plain one; None if it does not."""
        if (problem := _incompleteness(taken)) is not None:
            return problem
        other = {key for key in {**self._rows(), **taken.rows} if self._rows().get(key) != taken.rows.get(key)}
        return f"other rows than without it: {', '.join(sorted(other))}" if other else None

    def _rows(self) -> Mapping[str, Mapping[str, Any]]:
        return self.expected.rows if self.expected is not None else {}


def _refused_token(request: httpx.Request, is_list: bool, number: int) -> httpx.Response | None:
    """Refuse the token of the first request."""
    return httpx.Response(401, json={"message": "Unauthorized"}) if is_list and number == 0 else None


def _incompleteness(taken: Outcome) -> str | None:
    """Return why the import is not whole: its status, its reason or its failures; None if it is."""
    summary = taken.summary
    if summary.status != "completed" or summary.incomplete_reason:
        return f"the import is {summary.status}: {summary.failure_reason or summary.incomplete_reason}"
    if taken.failures:
        item, reason = next(iter(taken.failures.items()))
        return f"{plural(len(taken.failures), 'item')} failed, the first is {item}: {reason}"
    return None


def _problem_of_one(taken: Outcome, expected: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the problem of an import in which one item must fail, or vanish, alone."""
    if taken.summary.status != "completed":
        return f"the import is {taken.summary.status}: {taken.summary.failure_reason}"
    lost = {key for key, row in expected.items() if taken.rows.get(key) != row}
    if len(lost) > 1:
        return f"{len(lost)} items suffer: {', '.join(sorted(lost))}"
    if taken.failures or taken.summary.items_gone_count or taken.summary.items_skipped_count:
        return None
    return "the item does not fail: `detail` or `populate` accepts whatever comes"
