"""The records behind every shape: deterministic, and changed only on request."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

#: 2024-01-01T00:00:00Z, the creation of the first records.
START = 1_704_067_200
#: Seconds over which the first records are spread: 720 days.
SPAN = 62_208_000
#: Seconds between two changes.
STEP = 600
#: Records that share a moment: cursors and bookmarks must cope with equal times.
TOGETHER = 3


@dataclass(frozen=True, kw_only=True)
class Record:
    """One record. Times are seconds since 1970; a deleted record keeps its last values."""

    number: int
    created: int
    modified: int
    revision: int = 1
    deleted: bool = False

    @property
    def name(self) -> str:
        """A name that changes with each revision."""
        return f"Record {self.number} rev {self.revision}"

    @property
    def email(self) -> str:
        """An address that stays the same."""
        return f"record{self.number}@example.com"

    @property
    def amount(self) -> str:
        """A price that changes with each revision."""
        return f"{self.number * 7 % 500 + self.revision}.90"


class Records:
    """The records 1 to `count`, in their order. Each change happens `STEP` seconds after the latest one."""

    def __init__(self, count: int) -> None:
        step = SPAN // max(1, -(-count // TOGETHER))
        moments = ((number, START + (number - 1) // TOGETHER * step) for number in range(1, count + 1))
        self._all = {number: Record(number=number, created=at, modified=at) for number, at in moments}

    def get(self, number: int) -> Record | None:
        """Return a record, also a deleted one; None if there never was one."""
        return self._all.get(number)

    def live(self) -> list[Record]:
        """Return the records that are not deleted, oldest first."""
        return [each for each in self._all.values() if not each.deleted]

    def by_change(self, since: int = 0) -> list[Record]:
        """Return all records changed at `since` or later, deleted ones too, in the order of their changes."""
        found = [each for each in self._all.values() if each.modified >= since]
        return sorted(found, key=lambda each: (each.modified, each.number))

    def update(self, numbers: Iterable[int]) -> list[Record]:
        """Give those records a new revision; return them."""
        return [self._put(replace(each, revision=each.revision + 1)) for each in self._chosen(numbers)]

    def delete(self, numbers: Iterable[int]) -> list[Record]:
        """Delete those records; return them."""
        return [self._put(replace(each, deleted=True)) for each in self._chosen(numbers)]

    def add(self, count: int) -> list[Record]:
        """Add that many records; return them."""
        last, now = max(self._all, default=0), self._next_moment()
        fresh = [Record(number=last + one, created=now, modified=now) for one in range(1, count + 1)]
        self._all |= {each.number: each for each in fresh}
        return fresh

    def _chosen(self, numbers: Iterable[int]) -> list[Record]:
        return [each for number in numbers if (each := self._all.get(number)) and not each.deleted]

    def _put(self, record: Record) -> Record:
        changed = replace(record, modified=self._next_moment())
        self._all[record.number] = changed
        return changed

    def _next_moment(self) -> int:
        return max((each.modified for each in self._all.values()), default=START) + STEP


def iso(seconds: int) -> str:
    """Return a moment as `2024-01-01T00:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(text: str) -> int | None:
    """Return the moment in a text as `2024-01-01T00:00:00Z`, with any offset; None if it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else int(moment.timestamp())
