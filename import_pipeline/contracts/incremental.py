"""Incremental imports: the optional hooks of a source whose API lists what changed, and their check."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from import_pipeline.errors import ContractError
from import_pipeline.rules.lists.positions import LONGEST_POSITION, lookback_problem, parse_position
from import_pipeline.rules.lists.read_mark import Order

#: The hooks that only an incremental import calls.
_OWN_HOOKS = ("changes_request", "position")


@dataclass(frozen=True, kw_only=True)
class Incremental:
    """Settings of incremental imports, which begin at the bookmark that the last import left."""

    #: The position from which full imports ask for changes if the source has no `list_request`. It is the first
    #: bookmark, too, if a full import finds no item.
    start: str | None = None
    #: The span before the bookmark that is read again, since some changes appear late. A timedelta if positions are
    #: times, a number if they are numbers. Unchanged items (see `version`) cost no detail.
    lookback: timedelta | float = timedelta(0)
    #: The time after which an import is full again: it finds what was deleted without a trace. None: only the first.
    full_every: timedelta | None = None


class IncrementalHooks:
    """A list of what changed since a bookmark. Set `incremental`; write `changes_request` and `position`."""

    incremental: Incremental | None = None  #: such as `Incremental(lookback=timedelta(minutes=5))`
    #: The order of a list by positions: "oldest_first" or "newest_first". None: unknown. With "newest_first", reading
    #: stops at the first page that lies wholly below the bookmark.
    order: Order = None
    #: The position that this import reads from, for `slice_request`; None in a full import. The import sets it.
    since: str | None = None

    def changes_request(self, *args: Any, **kwargs: Any) -> httpx.Request:
        """Return a request for the items that changed since a position, relative to the base URL.

        With `pages`, write `changes_request(self, since: str)`, otherwise `changes_request(self, since: str, page: int,
        per_page: int)`, as `list_request`:

            return httpx.Request("GET", "/orders", params={"updated_since": since, "page": page})

        `since` is the bookmark less the lookback. If it raises, the import fails.
        """
        expected = "a method, since `incremental` is set"
        raise ContractError(type(self).__name__, "changes_request", expected, "nothing")

    def position(self, item: Mapping[str, Any]) -> str | None:
        """Return the position of a list item: its `updated_at`, id or cursor; None if it has none.

        The largest one becomes the bookmark. Whole numbers are compared as numbers, ISO 8601 times as instants, other
        texts by their characters. If it raises, or returns another kind than for other items, the item fails.
        """
        raise ContractError(type(self).__name__, "position", "a method, since `incremental` is set", "nothing")

    def is_deleted(self, item: Mapping[str, Any]) -> bool:
        """Return True for a list item that says that an item was deleted (a tombstone).

        Its stored row stays and is marked as gone. `stub` is called for it, too: only its `external_id` counts.
        """
        return False


def check_incremental(source: IncrementalHooks, name: str, *, has_list: bool, has_slices: bool) -> None:
    """Raise ContractError for hooks and values that contradict each other.

    `has_list`: the source has a `list_request` of its own. `has_slices`: its list is read in slices.
    """
    written = {hook for hook in _OWN_HOOKS if getattr(type(source), hook) is not getattr(IncrementalHooks, hook)}
    settings = source.incremental
    if settings is None:
        if "changes_request" in written:
            raise ContractError(name, "incremental", "Incremental(), since changes_request is there", "nothing")
        if source.order is not None:
            raise ContractError(name, "order", "None: it is the order by `position`, without `incremental`", "a value")
        return
    if not isinstance(settings, Incremental):
        raise ContractError(name, "incremental", "Incremental(), or None", repr(settings))
    for hook in _OWN_HOOKS:
        if hook not in written and not (has_slices and hook == "changes_request"):
            raise ContractError(name, hook, "a method, since `incremental` is set", "nothing")
    if source.order not in {None, "oldest_first", "newest_first"}:
        raise ContractError(name, "order", "oldest_first, newest_first or None", repr(source.order))
    if not has_list and not has_slices and settings.start is None:
        expected = "a position to ask for all changes from, since there is no list_request"
        raise ContractError(name, "incremental.start", expected, "None")
    _check_values(name, settings)


def _check_values(name: str, settings: Incremental) -> None:
    start, lookback, full_every = settings.start, settings.lookback, settings.full_every
    if start is not None and (not isinstance(start, str) or not 0 < len(start) <= LONGEST_POSITION):
        expected = f"a text of 1 to {LONGEST_POSITION} characters, or None"
        raise ContractError(name, "incremental.start", expected, repr(start))
    is_span = isinstance(lookback, timedelta) and lookback >= timedelta(0)
    is_number = isinstance(lookback, int | float) and not isinstance(lookback, bool) and 0 <= lookback < float("inf")
    if not (is_span or is_number):
        raise ContractError(name, "incremental.lookback", "a timedelta or a number, from 0", repr(lookback))
    if start is not None and (problem := lookback_problem(parse_position(start).kind, lookback)) is not None:
        raise ContractError(name, "incremental.lookback", f"to fit start {start!r}, whose {problem}", repr(lookback))
    if full_every is not None and (not isinstance(full_every, timedelta) or full_every <= timedelta(0)):
        raise ContractError(name, "incremental.full_every", "a timedelta above 0, or None", repr(full_every))
