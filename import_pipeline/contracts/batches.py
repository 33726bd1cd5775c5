"""Details in batches, and follow-up requests: the optional hooks of a source, and their check."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import httpx

from import_pipeline.errors import ContractError, ItemError

#: More items in one request would hold up a worker's other writes.
MOST_PER_REQUEST = 10_000


class BatchHooks:
    """One request for the details of many items. Set `details_per_request`, and write both hooks."""

    #: Items per detail request. None: one request per item, by the row's `detail_request`.
    details_per_request: int | None = None

    def details_request(self, rows: Sequence[Any]) -> httpx.Request:
        """Return the request for the details of these rows, at most `details_per_request` of them:

            ids = [row.external_id for row in rows]
            return httpx.Request("POST", "/orders/batch/read", json={"ids": ids})

        If it raises or the API refuses the request, it is repeated in halves, so that one item fails alone.
        """
        raise ContractError(type(self).__name__, "details_request", "a method", "nothing")

    def details(
        self, response: httpx.Response
    ) -> Iterable[tuple[Any, Mapping[str, Any] | ItemError]] | Mapping[Any, Mapping[str, Any]]:
        """Return external id and detail of each item in the answer, in any order; this method may be a generator:

            return [(each["id"], each) for each in response.json()["results"]]

        An `ItemRejected` or `ItemRetryable` in place of a detail fails that item. An item that the answer lacks fails.
        If this method raises, the request is repeated in halves.
        """
        raise ContractError(type(self).__name__, "details", "a method", "nothing")


def is_batched(source: object) -> bool:
    """Return True if the source requests details in batches."""
    return getattr(source, "details_per_request", None) is not None


def has_follow_ups(model: object) -> bool:
    """Return True if the row class has a method `more`; a column of that name is none."""
    return callable(getattr(model, "more", None))


def check_batches(source: BatchHooks, name: str, model: type) -> None:
    """Raise ContractError for hooks of batches that are missing, are never called, or contradict each other."""
    most = source.details_per_request
    own = [hook for hook in ("details_request", "details") if _is_own(source, hook)]
    if most is None:
        if own:
            expected = f"a whole number from 1, such as 100, since the source has {own[0]}"
            raise ContractError(name, "details_per_request", expected, "None")
        return
    if not isinstance(most, int) or isinstance(most, bool) or not 1 <= most <= MOST_PER_REQUEST:
        expected = f"a whole number from 1 to {MOST_PER_REQUEST:,}, or None"
        raise ContractError(name, "details_per_request", expected, repr(most))
    for hook in ("details_request", "details"):
        if hook not in own:
            raise ContractError(name, hook, "a method beside details_per_request", "nothing")
    if getattr(source, "conditional", False):
        expected = "False beside details_per_request: the ETag of a batch belongs to no single item"
        raise ContractError(name, "conditional", expected, "True")
    if not has_follow_ups(model) and _reads_details(source):
        expected = "none beside `details`, unless the row has a method more, whose answers it reads"
        raise ContractError(name, "detail", expected, "a method")


def _is_own(source: object, hook: str) -> bool:
    return getattr(type(source), hook, None) is not getattr(BatchHooks, hook)


def _reads_details(source: object) -> bool:
    """Return True if a class of the user's own defines `detail`."""
    theirs = (each for each in type(source).__mro__ if not each.__module__.startswith("import_pipeline.contracts."))
    return any("detail" in vars(each) for each in theirs)
