"""Show, set and reset the bookmark of a source."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource, Incremental
from import_pipeline.errors import UsageError
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.user_code.fingerprints import meaning_of
from import_pipeline.redaction import SECRETS
from import_pipeline.rules.lists.positions import LONGEST_POSITION, lookback_problem, mix_problem, parse_position
from import_pipeline.tracking import events, imports
from import_pipeline.tracking.lists import bookmarks
from import_pipeline.tracking.lists.bookmarks import Bookmark
from import_pipeline.tracking.lists.owed_items import count_owed

#: Event of a running import: a person has set or reset the bookmark.
SET = "bookmark_set"


@dataclass(frozen=True, kw_only=True)
class BookmarkState:
    """The bookmark of a source, and the items that its next import fetches again."""

    bookmark: Bookmark
    owed: int  #: items that failed permanently, and that no import has fetched since
    running: int | None  #: the import that is running; it keeps the position that it reads from
    before: str | None = None  #: the value before it was set or reset


def show_bookmark(installation: Installation, source: ImportSource) -> BookmarkState:
    """Return the bookmark. Raises UsageError if the source is not incremental."""
    _settings(source)
    with installation.database.read() as connection:
        return _state(connection, source)


def set_bookmark(
    installation: Installation, source: ImportSource, value: str | None, *, by: str | None = None
) -> BookmarkState:
    """Set the bookmark, or reset it with None: then the next import is full.

    A running import keeps the position that it reads from, and leaves the new bookmark as it is. Raises UsageError if
    the source is not incremental, or if the value is no position of it.
    """
    settings, now = _settings(source), installation.clock.now()
    positions = meaning_of(source, "position")

    def unit(connection: Connection) -> BookmarkState:
        before = bookmarks.of_source(connection, source.name)
        if value is not None:
            known = before.value if before.positions == positions else settings.start
            _check(source, settings, value, known)
        bookmarks.set_by_person(connection, source.name, value, positions=positions, now=now)
        running = imports.running(connection, source.name)
        if running is not None:
            _note(connection, running.id, now, value, by)
        state = _state(connection, source)
        return BookmarkState(bookmark=state.bookmark, owed=state.owed, running=state.running, before=before.value)

    return installation.transact(unit)


def _settings(source: ImportSource) -> Incremental:
    if source.incremental is None:
        raise UsageError(f"{source.name} is not incremental: it has no bookmark, each import reads the whole list")
    return source.incremental


def _check(source: ImportSource, settings: Incremental, value: str, known: str | None) -> None:
    """Raise UsageError for a value that is no position of the source."""
    if SECRETS.knows(value):
        raise UsageError(f"{source.name}: the value is a secret of the settings; expected a position")
    if not 0 < len(value) <= LONGEST_POSITION:
        raise UsageError(f"{source.name}: expected a position of 1 to {LONGEST_POSITION} characters, got {len(value)}")
    position = parse_position(value)
    if known is not None and mix_problem(position, other := parse_position(known)) is not None:
        raise UsageError(f"{source.name}: expected a {other.kind} such as {known}, got {value!r}")
    if (problem := lookback_problem(position.kind, settings.lookback)) is not None:
        raise UsageError(f"{source.name}: {value!r} does not fit its lookback, {settings.lookback!r}: {problem}")


def _note(connection: Connection, import_id: int, now: datetime, value: str | None, by: str | None) -> None:
    done = "reset the bookmark" if value is None else f"set the bookmark to {value}"
    sentence = f"{by or 'A person'} has {done}. This import reads on from where it began, and leaves it as it is."
    events.note(connection, import_id, now, SET, sentence)


def _state(connection: Connection, source: ImportSource) -> BookmarkState:
    running = imports.running(connection, source.name)
    return BookmarkState(
        bookmark=bookmarks.of_source(connection, source.name),
        owed=count_owed(connection, source.name),
        running=None if running is None else running.id,
    )
