"""The contract of a source with many lists: one list per row of a parent source, or per key of its own."""

from collections.abc import Iterable
from typing import Any

import httpx

from import_pipeline.errors import ContractError


class SliceHooks:
    """The part of a source that splits its collection into slices: lists with a key each, in one import.

    Set `parent`, or write `slices`; then write `slice_request` in the place of `list_request`, and `stub(self, item,
    key)`. Slices are read concurrently; each is resumed, retried and fails by itself.
    """

    #: The source whose items have a list each: its class or its name. The keys are the external ids of those items that
    #: are not gone. It has to be imported first.
    parent: Any = None
    #: True: only the parent's items that its imports found new or changed since the last import of this source.
    changed_only: bool = False
    #: Items after which the API ends every list, such as 10,000 of a search. A list that has as many may lack some: it
    #: counts as incomplete, unless `split` returns smaller slices. None: lists have no such end.
    max_results: int | None = None

    def slices(self) -> Iterable[str]:
        """Return the keys of the slices: date windows, regions, ranges of ids. A generator may yield a million keys.

        Each is a text of 1 to 255 characters; a key that comes twice is read once. Not used with `parent`. If it
        raises, the import fails.
        """
        return ()

    def slice_request(self, *args: Any, **kwargs: Any) -> httpx.Request:
        """Return a request for the list of the slice `key`, relative to the base URL.

        With `pages`, write `slice_request(self, key: str)`: the request for the first page. Without `pages`, write
        `slice_request(self, key: str, page: int, per_page: int)`, with the page counted from 1:

            return httpx.Request("GET", f"/issues/{path_segment(key)}/comments", params={"page": page})

        If it raises, the slice fails.
        """
        raise ContractError(type(self).__name__, "slice_request", "a method", "nothing")

    def split(self, key: str) -> Iterable[str]:
        """Return the keys of smaller slices that together list all that the slice `key` has. May be a generator.

        Called for a slice that has as many items as `max_results`, or says so by its `total`; they are read in its
        place, and split again if needed. Return nothing for a slice that cannot be smaller: it is incomplete then.
        """
        return ()

    @property
    def is_splitting(self) -> bool:
        """True if slices that are too large are split."""
        return type(self).split is not SliceHooks.split

    @property
    def is_sliced(self) -> bool:
        """True if the source has many lists."""
        return self.parent is not None or type(self).slices is not SliceHooks.slices

    @property
    def parent_api(self) -> str | None:
        """The name of the API of the parent source, by default its name; None without a parent."""
        found: Any = self.parent
        while found is not None and not isinstance(found, str):
            own = getattr(found, "api", None)
            if isinstance(own, str):
                return own
            if getattr(found, "parent", None) is None:
                return getattr(found, "name", None)
            found = found.parent
        return found

    @property
    def parent_name(self) -> str | None:
        """The name of the parent source; None without one."""
        return self.parent if isinstance(self.parent, str) else getattr(self.parent, "name", None)
