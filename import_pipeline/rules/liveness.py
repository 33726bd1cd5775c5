"""Decide if the worker of a running import is alive. No I/O."""

from dataclasses import dataclass
from datetime import datetime, timedelta

#: Tolerated difference between the clocks of two hosts.
MAX_CLOCK_SKEW = timedelta(seconds=5)


@dataclass(frozen=True, kw_only=True)
class Liveness:
    """The facts about a running import's worker.

    `process_alive` is None if this host cannot know it: another host, or a platform without that information.
    `silent_seconds` is the time since the latest heartbeat by a monotonic clock; None if only the wall clock is known.
    """

    heartbeat_at: datetime
    lease_seconds: float
    has_owner: bool
    process_alive: bool | None
    silent_seconds: float | None = None

    @property
    def is_gone(self) -> bool:
        """True if no worker can exist, whatever any clock says."""
        return not self.has_owner or self.process_alive is False

    def takeover_at(self) -> datetime:
        """Return the moment from which another process may resume the import if no heartbeat comes before."""
        return self.heartbeat_at if self.is_gone else self.heartbeat_at + timedelta(seconds=self.lease_seconds)

    def said_of_takeover(self) -> str:
        """Describe when another process may resume the import, as a part of a sentence."""
        if self.is_gone:
            return "its process is dead, so the next run resumes it immediately"
        if self.process_alive:
            return "if its process dies, the next run resumes it immediately"
        return f"if it sends no further heartbeat, the next run resumes it from {self.takeover_at():%H:%M:%S} UTC on"

    def is_dead(self, now: datetime) -> bool:
        """Return True if another process may resume the import now."""
        if self.is_gone:
            return True
        if self.silent_seconds is not None:
            return self.silent_seconds >= self.lease_seconds
        return self.takeover_at() <= now

    def is_ahead(self, now: datetime) -> bool:
        """Return True if the heartbeat lies in the future, written by a clock that was ahead."""
        return self.heartbeat_at > now + MAX_CLOCK_SKEW
