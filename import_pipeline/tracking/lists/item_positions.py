"""Positions of an import's items: items that the list names again at another position have changed meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, update

from import_pipeline.rules.lists.positions import Position
from import_pipeline.tracking.database.dialect import chunks
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.tables import import_item_statuses as statuses


@dataclass(frozen=True, kw_only=True)
class Again:
    """Items of a page that this import knows at another position."""

    positions: tuple[Position, ...] = ()  #: their new ones
    is_shifting: bool = False  #: this reading of the list itself named one of them before


def note_positions(connection: Connection, row: ImportRow, found: Mapping[str, Position], reading: int) -> Again:
    """Store the positions of a page's items, which are in the import already. `reading`: of the list, from 1."""
    again, is_shifting = list[Position](), False
    changed = list[dict[str, object]]()
    for ids in chunks(list(found)):
        of_page = select(statuses.c.id, statuses.c.external_id, statuses.c.position, statuses.c.reading).where(
            statuses.c.import_id == row.id,
            statuses.c.importable_type == row.importable_type,
            statuses.c.external_id.in_(ids),
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
