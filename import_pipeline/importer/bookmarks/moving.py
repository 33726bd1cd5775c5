"""Move the bookmark of a source at the end of an import, as far as the import allows it."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from import_pipeline.importer.bookmarks.reading import UNPLACED
from import_pipeline.rules.lists.positions import parse_position
from import_pipeline.rules.lists.read_mark import ReadMark
from import_pipeline.rules.status import WHOLE_KINDS, ImportKind
from import_pipeline.tracking import events, leases
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import Lease
from import_pipeline.tracking.lists import bookmarks
from import_pipeline.tracking.lists.bookmarks import Bookmark, Mover
from import_pipeline.tracking.lists.owed_items import held_positions, positions_of, settle_owed

#: Events: the bookmark has moved; it stays where it was, although the list was read to its end.
MOVED, KEPT = "bookmark_moved", "bookmark_kept"


def settle_bookmark(
    connection: Connection, row: ImportRow, lease: Lease, now: datetime, *, reason: str | None
) -> ImportRow:
    """Settle what a completed import owes, and move the bookmark; return the changed row. Raises LeaseLost.

    Call it in the transaction that completes the import. `reason`: why its list was not read to the end; then the
    bookmark stays.
    """
    revision = row.facts.bookmark_revision
    is_whole = row.kind in WHOLE_KINDS and revision is not None
    settle_owed(connection, row, adds=is_whole)
    if not is_whole or revision is None or reason is not None:
        return row
    if row.kind is ImportKind.FULL:
        due_at = row.scheduled_at or row.created_at
        bookmarks.record_full(connection, row.source, due_at=due_at, import_id=row.id)
    mark = row.read_state.read_mark
    before = bookmarks.of_source(connection, row.source)
    positions = row.facts.positions or ""
    of_import = Mover(import_id=row.id, revision=revision, positions=positions)
    if mark.seen is not None and (before.value is None or before.positions == positions):
        bookmarks.record_seen(connection, row.source, mark.seen, of_import)
    value, kept = _allowed(connection, row, mark)
    if value is None and before.value is None:
        value = mark.floor
    if value is not None and _is_ahead(value, before, positions):
        if bookmarks.move(connection, row.source, value, of_import, now):
            return _record(connection, row, lease, now, value, before.value)
        kept = "a person has set it since the import began"
    if kept is not None:
        where = "There is no bookmark yet" if before.value is None else f"The bookmark stays at {before.value}"
        events.note(connection, row.id, now, KEPT, f"{where}: {kept}.")
    return row


def _allowed(connection: Connection, row: ImportRow, mark: ReadMark) -> tuple[str | None, str | None]:
    """Return the largest position that the bookmark may have, and why it is not larger."""
    if mark.refused is not None:
        return None, mark.refused
    held = held_positions(connection, row.id)
    if None in held:
        return None, UNPLACED
    limits = [parse_position(text) for text in [*held, mark.again] if text is not None]
    if not limits:
        return mark.top, None
    limit = min(limits)
    what = "an item failed that only the list has" if held else "an item changed while the list was read"
    if mark.top is None or parse_position(mark.top) < limit:
        return mark.top, None
    known = (parse_position(text) for text in positions_of(connection, row.id))
    below = mark.largest((each for each in known if each.kind is limit.kind), limit)
    return below, f"{what}, at {limit.text}"


def _is_ahead(value: str, before: Bookmark, positions: str) -> bool:
    """Return True if the bookmark moves forward by it. One of another meaning is replaced."""
    if before.value is None or before.positions != positions:
        return True
    new, old = parse_position(value), parse_position(before.value)
    return new.kind is not old.kind or new > old


def _record(
    connection: Connection, row: ImportRow, lease: Lease, now: datetime, value: str, before: str | None
) -> ImportRow:
    metadata = row.metadata_with(bookmark=value)
    leases.write(connection, lease, now, metadata=metadata)
    sentence = f"The bookmark is {value}." if before is None else f"The bookmark has moved from {before} to {value}."
    events.note(connection, row.id, now, MOVED, sentence, value=value)
    return replace(row, metadata=metadata)
