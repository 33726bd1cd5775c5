"""Positions of an import's items: items that the list names again at another position have changed meanwhile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, update

from import_pipeline.rules.lists.positions import Position, parse_position
from import_pipeline.tracking.database.dialect import chunks
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.items import of_items
from import_pipeline.tracking.lists.list_pages import Discovered
from import_pipeline.tracking.lists.tombstones import deleted_by
from import_pipeline.tracking.tables import import_item_statuses as statuses


@dataclass(frozen=True, kw_only=True)
class Again:
    """Items of a page that this import knows at another position."""

    positions: tuple[Position, ...] = ()  #: their new ones
    is_shifting: bool = False  #: this reading of the list itself named one of them before


def without_older(connection: Connection, row: ImportRow, found: Sequence[Discovered]) -> list[Discovered]:
    """Return the items of a page of a list that is newest first, without those that a later state is known of.

    An earlier page of this import had them, at the same position or a later one, or their tombstone.
    """
    ids = [item.external_id for item in found]
    older = deleted_by(connection, row, ids)
    at = {item.external_id: item.position for item in found if item.position is not None}
    for some in chunks(list(at)):
        of_page = select(statuses.c.external_id, statuses.c.position).where(
            *of_items(row, some),
            statuses.c.position.is_not(None),
        )
        for external_id, text in connection.execute(of_page):
            known, position = parse_position(text), at[external_id]
            if known.kind is position.kind and not known < position:
                older.add(external_id)
    return [item for item in found if item.external_id not in older]


def were_deleted_or_restored(connection: Connection, row: ImportRow, found: Sequence[Discovered], reading: int) -> bool:
    """Return True if the list has shown items of a page before, and they were deleted or restored since.

    Call it before the page is stored. A tombstone has no item row, so `note_positions` does not see these moves.
    """
    if deleted_by(connection, row, [item.external_id for item in found if not item.is_deleted]):
        return True
    tombstones = {item.external_id: item.position for item in found if item.is_deleted and item.position is not None}
    for some in chunks(list(tombstones)):
        live_before = select(statuses.c.external_id, statuses.c.position).where(
            *of_items(row, some),
            statuses.c.reading == reading,
            statuses.c.position.is_not(None),
        )
        if any(tombstones[external_id].text != text for external_id, text in connection.execute(live_before)):
            return True
    return False


def note_positions(connection: Connection, row: ImportRow, found: Mapping[str, Position], reading: int) -> Again:
    """Store the positions of a page's items, which are in the import already. `reading`: of the list, from 1."""
    again, is_shifting = list[Position](), False
    changed = list[dict[str, object]]()
    for ids in chunks(list(found)):
        of_page = select(statuses.c.id, statuses.c.external_id, statuses.c.position, statuses.c.reading).where(
            *of_items(row, ids),
        )
        for known in connection.execute(of_page):
            position = found[known.external_id]
            if known.position != position.text:
                again.append(position)
                is_shifting = is_shifting or known.reading == reading
            if (known.position, known.reading) != (position.text, reading):
                changed.append({"of_status": known.id, "now_at": position.text, "now_in": reading})
    if changed:
        placed = update(statuses).where(statuses.c.id == bindparam("of_status"))
        connection.execute(placed.values(position=bindparam("now_at"), reading=bindparam("now_in")), changed)
    return Again(positions=tuple(again), is_shifting=is_shifting)
