"""Completed imports that a downstream asset has not processed yet. No I/O."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

#: Time before the cursor that is read again: an import's end has its worker's time and becomes visible later.
OVERLAP = timedelta(minutes=10)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CompletedImport(Protocol):
    """The facts about a completed import that the rule needs."""

    @property
    def import_id(self) -> int:
        """The import's id."""

    @property
    def ended_at(self) -> datetime:
        """The time of its end; aware."""

    @property
    def is_selection(self) -> bool:
        """True if it covered chosen items only."""


E = TypeVar("E", bound=CompletedImport)


@dataclass(frozen=True, kw_only=True)
class CompletionCursor:
    """The imports processed so far: up to a moment, with the ids of those shortly before it."""

    until: datetime = EPOCH
    import_ids: tuple[int, ...] = ()

    @classmethod
    def read(cls, cursor: str | None) -> "CompletionCursor":
        """Parse a sensor's cursor; without one, no import was processed."""
        if not cursor:
            return cls()
        until, import_ids = json.loads(cursor)
        return cls(until=datetime.fromisoformat(until), import_ids=tuple(import_ids))

    def dump(self) -> str:
        """Return the cursor as text."""
        return json.dumps([self.until.isoformat(), self.import_ids])

    @property
    def since(self) -> datetime:
        """The earliest end of imports to read."""
        return max(EPOCH, self.until - OVERLAP) if self.until > EPOCH else EPOCH

    def after(self, ended: Sequence[E]) -> "CompletionCursor":
        """Return the cursor after these imports, which ended at `since` or later, were processed as well."""
        until = max([self.until, *(one.ended_at for one in ended)])
        recent = tuple(one.import_id for one in ended if one.ended_at >= until - OVERLAP)
        return CompletionCursor(until=until, import_ids=recent)


def unprocessed(ended: Sequence[E], followed: CompletionCursor) -> list[E]:
    """Return the imports to process now, in the order of their ends; a full import covers all before it."""
    new = [one for one in ended if one.import_id not in followed.import_ids]
    whole = [index for index, one in enumerate(new) if not one.is_selection]
    return new[whole[-1] :] if whole else new
