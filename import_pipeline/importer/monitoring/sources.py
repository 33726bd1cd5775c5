"""Read a source for displays: its limits, its latest imports; and one of its items."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from import_pipeline.importer.installation import Installation
from import_pipeline.importer.limiter_usage import UsageReader
from import_pipeline.importer.monitoring.queries import view_in
from import_pipeline.importer.monitoring.view import ImportView
from import_pipeline.ratelimit import Usage
from import_pipeline.rules.slots import unserved_slot
from import_pipeline.rules.status import ENDED, ImportStatus
from import_pipeline.tracking import imports, schedules
from import_pipeline.tracking.history import ItemHistory, KnownItem, history_of, importable_type, known_items

#: Imports that a source's page shows.
SHOWN_IMPORTS = 30


@dataclass(frozen=True, kw_only=True)
class SourceDetails:
    """All facts about one source."""

    name: str
    table: str  #: the user's table
    api: str
    sharing: tuple[str, ...]  #: other sources that share its limits
    time_zone: str
    off_since: datetime | None  #: the schedule has been off since then; None: it is on
    last_tick: datetime | None  #: the latest sign of a tick of Dagster's sensor or of `start-scheduled`
    unserved_slot: datetime | None  #: the latest slot, if no tick has followed it
    usage: Usage | None  #: None if the rate-limit store does not answer
    latest: Sequence[ImportView]  #: the latest imports that have begun, newest first


@dataclass(frozen=True, kw_only=True)
class ItemDetails:
    """The history of an item in one source."""

    source: str
    external_id: str
    known: KnownItem | None  #: None if no list has had it
    history: Sequence[ItemHistory]  #: newest first
    existing: frozenset[int] = frozenset()  #: imports that knew it and were not deleted since


def source_details(installation: Installation, name: str, usage_reader: UsageReader) -> SourceDetails:
    """Return a listed source. Raises SourceNotFound, DatabaseUnavailable."""
    source, now = installation.source_to_read(name), installation.clock.now()
    with installation.database.read() as connection:
        latest = imports.latest(connection, source=name, statuses=(ImportStatus.RUNNING, *ENDED), limit=SHOWN_IMPORTS)
        last_tick = schedules.last_tick(connection, name)
        return SourceDetails(
            name=name,
            table=importable_type(source.model),
            api=source.api,
            sharing=tuple(each.name for each in installation.sources if each.api == source.api and each.name != name),
            time_zone=source.time_zone,
            off_since=schedules.off_since(connection, name),
            last_tick=last_tick,
            unserved_slot=unserved_slot(source.timetable, last_tick, now),
            usage=usage_reader.usage(source),
            latest=[view_in(connection, installation, row, now, usage_reader) for row in latest if row.started_at],
        )


def find_items(installation: Installation, external_id: str, source: str | None = None) -> list[ItemDetails]:
    """Return the item of that id in each listed source that knows it, or in the named source only.

    Raises DatabaseUnavailable.
    """
    listed = [each for each in installation.sources if source in {None, each.name}]
    with installation.database.read() as connection:
        known = {each.source: each for each in known_items(connection, [each.name for each in listed], external_id)}
        found = [
            ItemDetails(
                source=each.name,
                external_id=external_id,
                known=known.get(each.name),
                history=history_of(connection, each.name, importable_type(each.model), external_id),
            )
            for each in listed
        ]
        seen = [(each.known.first_import_id, each.known.last_import_id) for each in found if each.known is not None]
        existing = imports.existing(connection, [import_id for pair in seen for import_id in pair])
    return [replace(each, existing=existing) for each in found if each.known is not None or each.history]
