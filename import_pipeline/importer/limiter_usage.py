"""Read the counters of the rate limits for displays, without taking permits; cached for a moment."""

import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace

from import_pipeline.clock import Clock
from import_pipeline.contracts import ImportSource
from import_pipeline.ratelimit import Permits, Usage, open_permits
from import_pipeline.ratelimit.endpoints import name_of_endpoint, parse_limits
from import_pipeline.ratelimit.protocol import ExchangeRequest, StoreError, windows_of
from import_pipeline.ratelimit.usage import combined, usage_of
from import_pipeline.settings import Settings
from import_pipeline.tracking.imports import ImportRow

#: Seconds for which counters are cached, so that many viewers cost one read.
FRESH_SECONDS = 0.25
#: Seconds for which a store that did not answer is not read again.
SILENT_SECONDS = 5.0


@dataclass(kw_only=True)
class UsageReader:
    """Reads the usage of each API at most four times a second. Thread-safe; close it at the end."""

    settings: Settings
    clock: Clock
    _permits: Permits | None = None
    _read: dict[tuple[str, str], tuple[float, Usage | None]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _name: str = field(default_factory=lambda: f"gauge-{os.urandom(4).hex()}")

    def usage(self, source: ImportSource, limits: str | None = None) -> Usage | None:
        """Return the usage of the source's API under `limits` (default: its own); None if the store does not answer."""
        limits = source.limits_text if limits is None else limits
        with self._lock:
            now = self.clock.monotonic()
            read_at, usage = self._read.get((source.api, limits), (-SILENT_SECONDS, None))
            if now - read_at >= (SILENT_SECONDS if usage is None else FRESH_SECONDS):
                usage = None
                with suppress(StoreError):
                    usage = self._fetch(source.api, limits)
                self._read[source.api, limits] = (now, usage)
            return usage

    def close(self) -> None:
        """Close the store; the next reading opens it again."""
        with self._lock:
            if self._permits is not None:
                self._permits.close()

    def _fetch(self, api: str, limits: str) -> Usage:
        self._permits = self._permits or open_permits(self.settings.redis_url, self.settings.limits_path)
        now, found = self.clock.now(), dict[str, Usage]()
        for prefix, tiers in parse_limits(limits).items():
            request = ExchangeRequest(
                api=name_of_endpoint(api, prefix),
                process=self._name,
                tiers=windows_of(tiers),
                concurrent=tiers.concurrent,
                count_units=True,
            )
            found[prefix] = usage_of(self._permits.exchange(request), tiers, now)
        return combined(found)


def store_ever_answered(row: ImportRow) -> bool:
    """Return True if the rate-limit store has ever answered the import."""
    return row.facts.sleeps_before is not None


def with_current_usage(row: ImportRow, usage: Usage | None) -> ImportRow:
    """Return the import with its waits as of now; its row is a second behind, and a wait may be under way.

    Return the row unchanged if the store does not answer, or if its latest worker has not read the counters yet.
    """
    facts = row.facts
    if usage is None or facts.sleeps_before is None or facts.resumed_after is not None:
        return row
    sleeps, slept_seconds = share(usage, facts.sleeps_before, facts.slept_before)
    return replace(
        row,
        rate_limit_sleeps_count=max(row.rate_limit_sleeps_count, sleeps),
        total_sleep_seconds=max(row.total_sleep_seconds, slept_seconds),
    )


def share(usage: Usage, sleeps_before: int, slept_before: float | None) -> tuple[int, float]:
    return max(0, usage.sleeps - sleeps_before), max(0.0, usage.slept_seconds - (slept_before or 0.0))
