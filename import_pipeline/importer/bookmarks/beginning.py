"""Decide at the start of an import if it is full or incremental, and from which position it reads."""

import copy
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource, Incremental
from import_pipeline.importer.user_code.fingerprints import meaning_of
from import_pipeline.rules.import_kind import decide_kind
from import_pipeline.rules.import_metadata import ImportOptions
from import_pipeline.rules.lists.positions import lookback_problem, minus, parse_position
from import_pipeline.rules.status import ImportKind
from import_pipeline.tracking import events, imports
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.lists import bookmarks, revisions
from import_pipeline.tracking.lists.bookmarks import Bookmark

#: Event: the import of an incremental source is full or incremental, with the reason.
KIND_DECIDED = "import_kind"


def decide_reading(connection: Connection, source: ImportSource, row: ImportRow, now: datetime) -> ImportRow:
    """Decide the kind of an import that has just started, and store it with the position to read from.

    Call it in the transaction of the start: a resume then reads from the same position. Return the changed row.
    """
    settings = source.incremental
    if row.retry_of is not None and source.is_sliced:
        return _as_retried(connection, row, row.retry_of, now)
    if settings is None or row.kind is not ImportKind.FULL or row.options.limit is not None:
        return row
    if revisions.of_source(connection, row.source) != source.revision:
        bookmarks.forget(connection, row.source)  # all details are fetched again, however many imports that takes
    reading = next_reading(connection, source, row.options, row.scheduled_at or row.created_at)
    if reading is None:
        return row
    since, bookmark, positions = reading.since, reading.bookmark, meaning_of(source, "position")
    kind, sentence = ImportKind.FULL, f"It reads the whole list: {reading.reason}."
    if since is not None:
        back = f", {settings.lookback} before the bookmark" if settings.lookback else ""
        kind, sentence = ImportKind.INCREMENTAL, f"It reads what changed since {since}{back}."
    seen = bookmark.seen if bookmark.positions == positions else None
    mover = None if since is None else bookmark.import_id
    metadata = row.metadata_with(
        since=since, bookmark_revision=bookmark.revision, bookmark_import=mover, positions=positions, seen=seen
    )
    events.note(connection, row.id, now, KIND_DECIDED, sentence, since=since)
    return imports.change(connection, row.id, now, kind=kind, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class NextReading:
    """The reading of an import of an incremental source that begins now."""

    since: str | None  #: the position to read from; None: the whole list
    reason: str  #: why the whole list is read, as the end of a sentence
    bookmark: Bookmark


def next_reading(
    connection: Connection, source: ImportSource, options: ImportOptions, due_at: datetime
) -> NextReading | None:
    """Return what an import with these options would read; None for a source that is not incremental. Only reads."""
    settings = source.incremental
    if settings is None:
        return None
    bookmark = bookmarks.of_source(connection, source.name)
    if revisions.of_source(connection, source.name) != source.revision:
        bookmark = replace(bookmark, value=None)
    decision = decide_kind(
        bookmark=bookmark.value,
        options=options,
        full_at=bookmark.full_at,
        full_every=settings.full_every,
        due_at=due_at,
        problem=_problem(bookmark, settings, meaning_of(source, "position")),
    )
    since = None
    if not decision.is_full and bookmark.value is not None:
        since = minus(parse_position(bookmark.value), settings.lookback)
    return NextReading(since=since, reason=decision.reason, bookmark=bookmark)


def _as_retried(connection: Connection, row: ImportRow, retry_of: int, now: datetime) -> ImportRow:
    """Let a retry read slices from the position that the retried import read them from. Return the changed row."""
    facts = imports.get(connection, retry_of).facts
    if facts.since is None:
        return row
    metadata = row.metadata_with(since=facts.since, bookmark_import=facts.bookmark_import)
    return imports.change(connection, row.id, now, metadata=metadata)


def _problem(bookmark: Bookmark, settings: Incremental, positions: str) -> str | None:
    """Return why the bookmark cannot be read from; None if it can."""
    if bookmark.value is None:
        return None
    if bookmark.positions != positions:
        return "`position` has changed since the bookmark was set"
    problem = lookback_problem(parse_position(bookmark.value).kind, settings.lookback)
    return None if problem is None else f"its lookback does not fit, since {problem}"


def reading_source(source: ImportSource, since: str | None) -> ImportSource:
    """Return the source as an import reads it: with the position to read from, if there is one, as its `since`."""
    if since is None:
        return source
    return reading_from(source, since)


def reading_from(source: ImportSource, since: str | None) -> ImportSource:
    """Return a copy of the source that reads from this position; None: it reads whole lists."""
    bound = copy.copy(source)
    bound.since = since
    return bound
