"""Which completed imports something that comes after them has yet to follow. No I/O."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

#: Looked at again every time: an import's end is dated by its worker's clock, and is seen a moment after that date.
OVERLAP = timedelta(minutes=10)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CompletedImport(Protocol):
    """What is to be known of a completed import."""

    @property
    def import_id(self) -> int:
        """Which one it is."""

    @property
    def ended_at(self) -> datetime:
        """When it ended; aware."""

    @property
    def is_selection(self) -> bool:
        """Whether it speaks for its own items only."""


E = TypeVar("E", bound=CompletedImport)


@dataclass(frozen=True, kw_only=True)
class CompletionCursor:
    """What was followed so far: up to which moment, and which imports shortly before it."""

    until: datetime = EPOCH
    import_ids: tuple[int, ...] = ()

    @classmethod
    def read(cls, cursor: str | None) -> "CompletionCursor":
        """From a sensor's cursor; nothing was followed where there is none."""
        if not cursor:
            return cls()
        until, import_ids = json.loads(cursor)
        return cls(until=datetime.fromisoformat(until), import_ids=tuple(import_ids))

    def dump(self) -> str:
        """As a cursor."""
        return json.dumps([self.until.isoformat(), self.import_ids])

    @property
    def since(self) -> datetime:
        """From when on ends are to be looked at."""
        return max(EPOCH, self.until - OVERLAP) if self.until > EPOCH else EPOCH

    def after(self, ended: Sequence[E]) -> "CompletionCursor":
        """The same when these, which ended at `since` or later, were followed, too."""
        until = max([self.until, *(one.ended_at for one in ended)])
        recent = tuple(one.import_id for one in ended if one.ended_at >= until - OVERLAP)
        return CompletionCursor(until=until, import_ids=recent)


def unprocessed(ended: Sequence[E], followed: CompletionCursor) -> list[E]:
    """Of the imports in the order of their ends those to follow now: a whole one stands for all before it."""
    new = [one for one in ended if one.import_id not in followed.import_ids]
    whole = [index for index, one in enumerate(new) if not one.is_selection]
    return new[whole[-1] :] if whole else new
