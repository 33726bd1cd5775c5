"""An installation: settings, sources and database. Commands, panel and Dagster all open one first."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection

from import_pipeline.clock import Clock, Random, SystemClock, system_random
from import_pipeline.contracts import ImportSource
from import_pipeline.importer.runtime.database_wait import ACTION
from import_pipeline.importer.source_loader import configured_among_others, find_source, load_sources
from import_pipeline.logs import set_up
from import_pipeline.redaction import mask_logs
from import_pipeline.settings import Settings, load_settings
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.database.server_clock import clock_of
from import_pipeline.tracking.schema import upgrade
from import_pipeline.tracking.user_rows.user_tables import check_table, ensure_table

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Installation:
    """Settings, the listed sources with their settings applied, and the tracking database with its tables."""

    settings: Settings
    sources: tuple[ImportSource, ...]
    database: Database
    clock: Clock = field(default_factory=SystemClock)
    chance: Random = system_random

    def source(self, name: str) -> ImportSource:
        """The source of that name, its table in place. Raises SourceNotFound, SchemaError, DatabaseUnavailable."""
        source = find_source(self.sources, name)
        ensure_table(self.database, source.model, is_rehearsal=self.settings.is_rehearsal)
        return source

    def source_to_read(self, name: str) -> ImportSource:
        """As `source`, for what only reads: the table is checked if it exists, and not created."""
        source = find_source(self.sources, name)
        check_table(self.database, source.model, is_rehearsal=self.settings.is_rehearsal)
        return source

    def checked_source(self, name: str) -> ImportSource:
        """As `source`, for callers that come every few seconds: the table is checked only until it exists."""
        found = find_source(self.sources, name)
        known = (self.settings.database_url, found.model)
        if known not in _checked_tables:
            self.source(name)
            _checked_tables.add(known)
        return found

    def listed(self, name: str) -> ImportSource | None:
        """Return the listed source of that name, with its settings; None if there is none (any more)."""
        return next((each for each in self.sources if each.name == name), None)

    def transact(self, unit: Callable[[Connection], T]) -> T:
        """Run a unit of an action in its own transaction, and return its result.

        After a deadlock or a restart of the database, the unit is repeated for a short time; so it must change nothing
        but the database. Raises DatabaseUnavailable.
        """
        return self.database.transact(unit, ACTION)


@contextmanager
def open_installation(
    settings: Settings | None = None,
    sources: list[ImportSource] | None = None,
    clock: Clock | None = None,
) -> Iterator[Installation]:
    """Read the settings, load the sources, connect, and bring the tracking tables up to date.

    `sources` replaces the listed ones and is not configured again. Raises UsageError or DatabaseUnavailable.
    """
    mask_logs()
    settings = settings or load_settings()
    if settings.logs is not None:
        set_up(settings.logs)
    listed = load_sources(settings) if sources is None else sources
    database = Database(settings.database_url)
    try:
        upgrade(database)
        yield Installation(
            settings=settings, sources=tuple(listed), database=database, clock=clock or clock_of(database)
        )
    finally:
        database.close()


#: Databases and models whose tables this process has checked.
_checked_tables: set[tuple[str, type[Any]]] = set()


@contextmanager
def open_for(declared: ImportSource, *, often: bool = False) -> Iterator[tuple[Installation, ImportSource]]:
    """Open the installation of one source, listed or not; yield it and the source with its settings applied.

    For code built around a source, such as its Dagster definitions. `often` is for callers that open it every few
    seconds: the source's table is then checked only until it exists. Raises UsageError or DatabaseUnavailable.
    """
    settings = load_settings()
    with open_installation(settings, [configured_among_others(declared, settings)]) as installation:
        source = installation.checked_source(declared.name) if often else installation.source(declared.name)
        yield installation, source
