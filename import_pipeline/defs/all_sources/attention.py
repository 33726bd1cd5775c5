"""The sources that need a tick now. A tick of any other would change nothing, and cost as much."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking import requests, scheduling
from import_pipeline.tracking.scheduling import OpenImport

#: Each source gets a tick at least this often: for notices to repeat, old rows to delete, and whatever else is rare.
AT_LEAST_EVERY = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Situation:
    """The open imports and waiting requests of all sources, read in one transaction."""

    open_imports: Mapping[str, tuple[OpenImport, ...]]
    waiting: frozenset[str]  #: sources with requests that wait

    @classmethod
    def read(cls, connection: Connection) -> "Situation":
        """Read them, by two statements for any number of sources."""
        return cls(open_imports=scheduling.open_by_source(connection), waiting=requests.waiting_sources(connection))

    def needs_tick(self, source: str, now: datetime) -> bool:
        """Return True if the source has something to do now, whatever was done before."""
        found = self.open_imports.get(source, ())
        is_busy = any(
            each.status is ImportStatus.RUNNING or each.scheduled_at is None or each.scheduled_at <= now
            for each in found
        )
        return is_busy or source in self.waiting


@dataclass(kw_only=True)
class Attention:
    """Remembers, in this process, the state in which the last tick of each source left nothing to do."""

    _settled: dict[str, tuple[Hashable, datetime]] = field(default_factory=dict)

    def due(
        self, names: Sequence[str], situation: Situation, switches: Mapping[str, Hashable], now: datetime
    ) -> list[str]:
        """Return the sources that need a tick, the longest without one first.

        `switches`: the state of each source's schedule, which a person may have changed.
        """
        long_ago = datetime.min.replace(tzinfo=now.tzinfo)
        last = {name: self._settled[name][1] if name in self._settled else long_ago for name in names}
        found = [name for name in names if self._is_due(name, situation, switches, now)]
        return sorted(found, key=lambda name: last[name])

    def _is_due(self, name: str, situation: Situation, switches: Mapping[str, Hashable], now: datetime) -> bool:
        if name not in self._settled or situation.needs_tick(name, now):
            return True
        state, at = self._settled[name]
        return state != _state(name, situation, switches) or abs(now - at) >= AT_LEAST_EVERY

    def settle(
        self, name: str, before: Situation, after: Situation, switches: Mapping[str, Hashable], now: datetime
    ) -> None:
        """Record a tick. One that changed something is repeated, since it may have left more to do."""
        state = _state(name, before, switches)
        if state == _state(name, after, switches):
            self._settled[name] = (state, now)
        else:
            self._settled.pop(name, None)


def _state(name: str, situation: Situation, switches: Mapping[str, Hashable]) -> Hashable:
    return situation.open_imports.get(name, ()), switches.get(name)
