"""End the reading of slices: why the import is incomplete, and the bookmark that all slices together allow."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from import_pipeline.importer.slices.state import SlicesState
from import_pipeline.rules.lists.positions import parse_position
from import_pipeline.rules.lists.read_mark import ReadMark
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.lists import slices
from import_pipeline.tracking.lists.owed_items import add_owed, positions_of


def ended(connection: Connection, row: ImportRow, state: SlicesState) -> SlicesState:
    """Return the state of an import whose slices were all read, or have failed; owed items are added to it."""
    reason = None if row.options.limit is not None else slices.outcome(connection, row.id).reason
    done = replace(state, complete=True, stopped=reason)
    if row.facts.bookmark_revision is None:
        return done
    deleted = sum(each.deleted for each in slices.read_states(connection, row.id))
    mark = ReadMark.of_slices(each.read_mark for each in slices.read_states(connection, row.id))
    return replace(done, owed=add_owed(connection, row), deleted=deleted, mark=_with_top(connection, row, mark))


def _with_top(connection: Connection, row: ImportRow, mark: ReadMark) -> dict[str, Any]:
    """Return the mark as it is stored, with the largest position that the bookmark may have."""
    if mark.kin is None:
        return mark.dump()
    kind = parse_position(mark.kin).kind
    known = (parse_position(text) for text in positions_of(connection, row.id))
    return replace(mark, top=mark.largest(each for each in known if each.kind is kind)).dump()
