"""Read the answer to a request for many items by the source's hook: each item's detail by its id."""

from collections.abc import Mapping, Set
from typing import Any

import httpx

from import_pipeline.contracts import ImportSource
from import_pipeline.contracts.hooks import label_of
from import_pipeline.errors import HookFailed, ItemError, ItemRejected
from import_pipeline.importer.user_code.hooks import DETAILS, call_hook
from import_pipeline.tracking.user_rows.row_ids import item_id


class BatchDetails:
    """The details of an answer, by external id."""

    def __init__(self) -> None:
        self._details: dict[str, Any] = {}
        self._ambiguous: set[str] = set()
        self.has_nameless = False  #: it has members without an id, such as the null of a missing item

    def add(self, external_id: str, detail: Any) -> None:
        """Add a detail. The same one may be there twice."""
        if external_id in self._details and _differ(self._details[external_id], detail):
            self._ambiguous.add(external_id)
        self._details[external_id] = detail

    def of(self, external_id: str) -> Any:
        """Return the item's detail. Raises ItemRejected if there is none or several, and the source's own error."""
        if external_id in self._ambiguous:
            raise ItemRejected("the answer has several different details of this item")
        if external_id not in self._details and self.has_nameless:
            raise ItemRejected(
                "the answer has no item of this id, but some without an id: check what `details` returns"
            )
        if external_id not in self._details:
            raise ItemRejected("the answer has no item of this id")  # the same text each time: the breaker counts it
        detail = self._details[external_id]
        if isinstance(detail, ItemError):
            raise detail
        return detail

    def others(self, requested: Set[str]) -> int:
        """Return the number of items that were not requested."""
        return len(self._details.keys() - requested)


def _differ(one: Any, other: Any) -> bool:
    try:
        return bool(one != other)
    except Exception:  # noqa: BLE001 - the comparison may be the user's code
        return True


def details_of(source: ImportSource, response: httpx.Response) -> BatchDetails:
    """Return the details of an answer. Raises HookFailed, or an ItemError of the source's own.

    A member without an id spoils no other one; if none has an id, the hook is wrong.
    """
    found = BatchDetails()
    pairs = call_hook(source, "details", response, returns=DETAILS, response=response, passes=(ItemError,))
    named = [pair for pair in pairs if pair[0] is not None]
    found.has_nameless = len(named) < len(pairs)
    for each, detail in named or pairs:
        if each is None or isinstance(each, Mapping | list | tuple | bool):
            hook = label_of(source, "details")
            raise HookFailed(hook, f"must return the external id of each item, got {type(each).__name__}")
        found.add(item_id(source.model, each), detail)
    return found
