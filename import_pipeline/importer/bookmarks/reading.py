"""Read the positions of list items: what the bookmark may become, and where a list that is newest first ends."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from import_pipeline.contracts import ImportSource
from import_pipeline.contracts.hooks import label_of
from import_pipeline.errors import ImportFailed
from import_pipeline.importer.user_code.fingerprints import meaning_of
from import_pipeline.rules.lists.positions import Position, lookback_problem, mix_problem, parse_position
from import_pipeline.rules.lists.read_mark import SEVERAL_KINDS, ReadMark
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.lists.list_pages import Discovered

#: Why a reading allows no bookmark: an item that nothing but this list can bring may lie anywhere.
UNPLACED = "an item failed that only the list has, and its position is unknown"


def resumed_mark(source: ImportSource, row: ImportRow, mark: ReadMark) -> ReadMark:
    """Return the mark to read on with. It allows no bookmark if `position` was changed since the import began."""
    if source.incremental is None:
        return mark
    if mark.began_at is None:
        start, seen = source.incremental.start, row.facts.seen
        kin = source.since or start or seen
        return replace(mark, floor=start, kin=kin, is_kin_known=kin is not None, first=seen)
    if row.facts.positions not in {None, meaning_of(source, "position")}:
        return replace(mark, refused="`position` was changed while the import was running")
    return mark


def read_positions(
    source: ImportSource, mark: ReadMark, found: Sequence[Discovered], answered_at: datetime
) -> tuple[list[Discovered], ReadMark]:
    """Return a page's items, those without a comparable position as failed ones, and the mark after the page.

    Raises ImportFailed if the source's lookback does not fit its positions.
    """
    kin = _most_common(found) if mark.kin is None else parse_position(mark.kin)
    problems = [None if kin is None or item.position is None else mix_problem(item.position, kin) for item in found]
    checked = [_failed(source, item, why) if why else item for item, why in zip(found, problems, strict=True)]
    if any(problems) and not mark.is_kin_known:
        mark = replace(mark, refused=SEVERAL_KINDS)
    settings = source.incremental
    if kin is not None and settings is not None and (wrong := lookback_problem(kin.kind, settings.lookback)):
        raise ImportFailed(f"{source.name}.incremental.lookback: {wrong}, got {settings.lookback!r}")
    if any(item.problem is not None and not item.by_id and item.position is None for item in checked):
        mark = replace(mark, refused=UNPLACED)
    positions = [item.position for item in checked if item.position is not None]
    listed = {item.external_id: item.position.text if item.position else "" for item in checked if item.is_named}
    return checked, mark.after(positions, answered_at, source.order).met(listed, _untracked(source, checked))


def _untracked(source: ImportSource, found: Sequence[Discovered]) -> set[str]:
    """Return the ids of the items whose positions no item row keeps: if one comes again, it has moved.

    Without an order that is no proof: an item comes again, too, if another one pushes it to the next page.
    """
    is_ordered = source.order == "oldest_first"
    return {
        item.external_id
        for item in found
        if item.is_named and (item.is_deleted or (is_ordered and item.position is None))
    }


def _most_common(found: Sequence[Discovered]) -> Position | None:
    """Return a position of the most common kind on the page; None if no item has one."""
    positions = [item.position for item in found if item.position is not None]
    kinds = Counter(position.kind for position in positions)
    return max(positions, key=lambda position: kinds[position.kind], default=None)


def _failed(source: ImportSource, item: Discovered, problem: str) -> Discovered:
    """Return the item without its position, as failed. A tombstone counts without a position, too."""
    if item.is_deleted or item.problem is not None:
        return replace(item, position=None)
    reason = f"{label_of(source, 'position')} {problem}"
    return replace(item, importable=None, position=None, problem=reason, by_id=not item.whole)


def is_wholly_below(found: Sequence[Discovered], since: Position) -> bool:
    """Return True if the page has items, and all of them lie below the position that the import reads from."""
    return bool(found) and all(item.position is not None and item.position < since for item in found)


def newest_only(found: Sequence[Discovered]) -> list[Discovered]:
    """Return the items without repetitions: of those with one id, the newest, which comes first."""
    by_id = {item.external_id: item for item in reversed(found)}
    return [item for item in found if by_id[item.external_id] is item]
