"""Whether a running import still has a worker."""

from dataclasses import dataclass
from datetime import datetime, timedelta

#: Two hosts' clocks may differ by so much.
MAX_CLOCK_SKEW = timedelta(seconds=5)


@dataclass(frozen=True, kw_only=True)
class Liveness:
    """What is known of a running import's worker.

    `process_alive` is None if this host cannot tell: another host, or a platform that does not say. `silent_seconds` is
    the time since the latest heartbeat by a clock that is never set; None if only the wall clock tells.
    """

    heartbeat_at: datetime
    lease_seconds: float
    has_owner: bool
    process_alive: bool | None
    silent_seconds: float | None = None

    @property
    def is_gone(self) -> bool:
        """Whether nobody can work on it, whatever any clock says."""
        return not self.has_owner or self.process_alive is False

    def takeover_at(self) -> datetime:
        """The moment from which another process may resume the import, if no heartbeat comes until then."""
        return self.heartbeat_at if self.is_gone else self.heartbeat_at + timedelta(seconds=self.lease_seconds)

    def said_of_takeover(self) -> str:
        """When another process may go on with the import, as a part of a sentence."""
        if self.is_gone:
            return "its process is gone, so the next run goes on with it at once"
        if self.process_alive:
            return "should its process die, the next run goes on with it at once"
        return f"if nothing more is heard of it, the next run goes on with it from {self.takeover_at():%H:%M:%S} UTC on"

    def is_dead(self, now: datetime) -> bool:
        """Whether another process may resume the import now."""
        if self.is_gone:
            return True
        if self.silent_seconds is not None:
            return self.silent_seconds >= self.lease_seconds
        return self.takeover_at() <= now

    def is_ahead(self, now: datetime) -> bool:
        """Whether the heartbeat lies in the future: a clock that was ahead has written it."""
        return self.heartbeat_at > now + MAX_CLOCK_SKEW
