"""The state of reading that a stored checkpoint holds, for all that do not read the list themselves. No I/O.

`importer/discovery/checkpoint.py` writes the checkpoint of one list, `importer/slices/state.py` that of many.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from import_pipeline.rules.lists.read_mark import ReadMark
from import_pipeline.rules.progress import incomplete_reason


@dataclass(frozen=True, kw_only=True)
class ReadState:
    """The state of reading a list, or all lists of an import with slices. Each name is a key of the checkpoint."""

    sliced: bool = False  #: the import has slices
    complete: bool = False  #: read to the end, or to the point where reading stopped
    stopped: str | None = None  #: why reading ended before the list did
    passes: int = 0
    page: int = 0  #: of that pass
    total: int | None = None  #: the number of items that the list announces
    seen: int = 0  #: items on the pages of this pass
    rowless: int = 0  #: of them, those without an item row: tombstones, and items below the bookmark
    deleted: int = 0  #: items that tombstones have marked as gone
    owed: int = 0  #: items of earlier imports that were added after the list
    mark: Mapping[str, Any] | None = None  #: what the bookmark may become
    parent: str | None = None  #: the source whose items are the slices
    reference: int | None = None  #: the import after which changes of the parent's items count; None: all
    parent_until: int = 0  #: the parent's latest import when this one began
    parent_open: Sequence[int] = ()  #: its imports up to that one that had not ended
    basis: Mapping[str, Any] | None = None  #: the conditions under which the list was read

    @classmethod
    def read(cls, checkpoint: Mapping[str, Any] | None) -> "ReadState":
        """Return the state in a stored checkpoint; that of an unread list if there is none."""
        stored = checkpoint or {}
        return cls(**{name: stored[name] for name in cls.__dataclass_fields__ if stored.get(name) is not None})

    @property
    def versions(self) -> str | None:
        """The fingerprint of the source's `version()` when the list was read."""
        return (self.basis or {}).get("versions")

    @property
    def read_mark(self) -> ReadMark:
        """The mark that the bookmark of an incremental source may become."""
        return ReadMark.read(self.mark)

    def incomplete_reason(self, items_count: int) -> str | None:
        """Return why the list, of which that many items have rows, is incomplete; None if it is complete.

        The list has named tombstones, which have no rows, and has not named owed items, which have.
        """
        return incomplete_reason(items_count - self.owed + self.rowless, self.total, self.stopped)
