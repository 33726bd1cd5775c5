"""The bookmark that a reading of a list allows: no change that the reading may have missed lies below it. No I/O."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from import_pipeline.rules.lists.positions import Position, PositionKind, parse_position
from import_pipeline.rules.lists.untracked_items import came_again, noted

#: The order of a list by the positions of its items; None: unknown.
Order = Literal["oldest_first", "newest_first"] | None

#: Why a reading allows no bookmark: it cannot be decided which kind is right.
SEVERAL_KINDS = "its positions are of several kinds"


@dataclass(frozen=True, kw_only=True)
class ReadMark:
    """The positions of a reading so far, kept in its checkpoint. An import that reads its list twice keeps the first.

    A change during the reading may be missed by it, so the bookmark must not pass the reading's start. Times show it by
    the server's clock. Other positions show it by their order, by the first page, or by what an import before has seen.
    Order proves nothing in counted pages: if an item moves to the end, others slide onto a page that was read already.
    """

    order: str | None = None
    floor: str | None = None  #: the first bookmark if no position allows one: where a full import reads from
    began_at: str | None = None  #: the server's time of the import's first page
    first: str | None = None  #: the largest position of that page, or one that an import before has seen
    seen: str | None = None  #: the largest position of all
    kin: str | None = None  #: where it reads from, or a position of its first page: others must be of that kind
    is_kin_known: bool = False  #: an import before had that kind, or the source names it
    top: str | None = None  #: the largest position that the bookmark may have
    is_counted: bool = False  #: its pages are counted, by numbers or offsets
    again: str | None = None  #: the smallest position at which an item came again, changed: it is not fetched twice
    is_shifting: bool = False  #: in this pass, an item came again at another position: others may have been skipped
    #: This pass's tombstones and items without a position, if pages are counted: fingerprints, item -> position.
    untracked: Mapping[str, str] = field(default_factory=dict)
    refused: str | None = None  #: why this reading allows no bookmark

    @classmethod
    def read(cls, stored: Mapping[str, Any] | None) -> "ReadMark":
        """Return a stored mark; a new one if there is none."""
        return cls(**stored) if stored else cls()

    def dump(self) -> dict[str, Any]:
        """Return the mark as it is stored."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def of_slices(cls, marks: Iterable["ReadMark"]) -> "ReadMark":
        """Return the mark of an import whose slices were read with these marks; `top` is left to `largest`.

        A change in the slice that was read first may be missed from its first page on, whatever others show. So that
        page counts for all, and the order within a slice proves nothing. Of slices that began in one second, the
        smallest first page counts: any of them may have been the first.
        """
        found = cls()
        for mark in marks:
            is_earlier = _is_earlier(mark, found)
            if found.kin and mark.kin and parse_position(found.kin).kind is not parse_position(mark.kin).kind:
                return replace(found, refused=SEVERAL_KINDS)
            again = min([*_parsed(found.again), *_parsed(mark.again)], default=None)
            found = replace(
                found,
                floor=found.floor or mark.floor,
                began_at=mark.began_at if is_earlier else found.began_at,
                first=mark.first if is_earlier else found.first,
                kin=found.kin or mark.kin,
                seen=_largest([*_parsed(found.seen), *_parsed(mark.seen)]),
                again=None if again is None else again.text,
                refused=found.refused or mark.refused,
            )
        return found

    def after(self, positions: Sequence[Position], answered_at: datetime, order: Order) -> "ReadMark":
        """Return the mark after one more page, with the positions of its items, all of one kind.

        `answered_at`: the server's time of the page.
        """
        mark = self
        if self.began_at is None:
            earlier = [each for each in _parsed(self.first) if not positions or each.kind is positions[0].kind]
            first = _largest([*earlier, *positions])
            mark = replace(self, order=order, began_at=answered_at.isoformat(), first=first)
        if mark.kin is None and positions:
            mark = replace(mark, kin=positions[0].text)
        top = mark.largest([*_parsed(mark.top), *positions])
        return replace(mark, top=top, seen=_largest([*_parsed(mark.seen), *positions]))

    def largest(self, positions: Iterable[Position], below: Position | None = None) -> str | None:
        """Return the largest of the positions that the bookmark may have, below that one; None without any."""
        return _largest(each for each in positions if self._is_safe(each) and (below is None or each < below))

    def _is_safe(self, position: Position) -> bool:
        """Return True if no change after the reading began can have a position up to this one."""
        if position.kind is PositionKind.TIME:
            settled, began = position.settled_at, self.began_at
            return settled is not None and began is not None and settled <= datetime.fromisoformat(began)
        if self.order == "oldest_first" and not self.is_counted:  # each change comes after all that was read
            return True
        return self.first is not None and position <= parse_position(self.first)

    def met_again(self, positions: Sequence[Position], *, is_shifting: bool) -> "ReadMark":
        """Return the mark after items came again in this import, with these other positions."""
        again = min([*_parsed(self.again), *positions], default=None)
        return replace(self, again=None if again is None else again.text, is_shifting=self.is_shifting or is_shifting)

    def met(self, listed: Mapping[str, str], untracked: Collection[str]) -> "ReadMark":
        """Return the mark after a page of a counted list, whose items are `listed`: id -> position, empty for none.

        `untracked` are those of them whose positions no item row keeps: one that comes again has moved.
        """
        if not self.is_counted or self.order == "newest_first":  # there, others come twice if an item moves
            return self
        has_moved = came_again(self.untracked, listed)
        return replace(
            self, untracked=noted(self.untracked, listed, untracked), is_shifting=self.is_shifting or has_moved
        )

    def next_pass(self) -> "ReadMark":
        """Return the mark for another reading of the list in this import. The start of the first one still counts."""
        return replace(self, is_shifting=False, untracked={})


def _is_earlier(mark: ReadMark, other: ReadMark) -> bool:
    """Return True if its reading began before the other. Of two in one second, that with the smaller first page."""
    if mark.began_at is None or other.began_at is None:
        return mark.began_at is not None
    began, other_began = datetime.fromisoformat(mark.began_at), datetime.fromisoformat(other.began_at)
    if began != other_began or other.first is None:
        return began < other_began
    return mark.first is None or parse_position(mark.first) < parse_position(other.first)


def _largest(positions: Iterable[Position]) -> str | None:
    found = max(positions, default=None)
    return None if found is None else found.text


def _parsed(text: str | None) -> list[Position]:
    """Return a stored position, as a list of at most one."""
    return [] if text is None else [parse_position(text)]
