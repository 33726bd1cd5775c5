"""The checkpoint of an import with slices: how far its keys are known. Each slice has a checkpoint of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class SlicesState:
    """The state that the import's row keeps, beside the rows of its slices."""

    parent: str | None = None  #: the parent source
    #: The import after which changes of the parent's items count; what it did not finish counts, too. None: all.
    reference: int | None = None
    parent_until: int = 0  #: the parent's latest import when this one began
    parent_open: Sequence[int] = ()  #: its imports up to that one that had not ended
    last_key: str | None = None  #: the last key of the parent's that is stored
    is_listed: bool = False  #: all keys are stored
    complete: bool = False  #: all slices were read, or have failed
    stopped: str | None = None  #: why the import is incomplete
    mark: Mapping[str, Any] | None = None  #: the bookmark that the slices allow together, of an incremental source
    deleted: int = 0  #: items that tombstones of the slices have marked as gone
    owed: int = 0  #: items of earlier imports that were added after the slices

    @classmethod
    def read(cls, stored: Mapping[str, Any] | None) -> "SlicesState | None":
        """Return the stored state; None if the import has not begun, or read one list so far."""
        if not stored or "sliced" not in stored:
            return None
        return cls(**{name: stored[name] for name in cls.__dataclass_fields__ if name in stored})

    @classmethod
    def of_retry(cls, parent: str | None) -> "SlicesState":
        """Return the state of an import that reads slices of another one: all its keys are stored."""
        return cls(parent=parent, is_listed=True)

    def dump(self, versions: str) -> dict[str, Any]:
        """Return the state as it is stored, with the fingerprint of the source's `version()`."""
        return {"sliced": True, "basis": {"versions": versions}, **vars(self)}
