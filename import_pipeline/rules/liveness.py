"""Whether a running import still has a worker."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, kw_only=True)
class Liveness:
    """What is known of a running import's worker.

    `process_alive` is None where nobody here can tell: another host, or a platform that does not say.
    """

    heartbeat_at: datetime
    lease_seconds: float
    has_owner: bool
    process_alive: bool | None

    def takeover_at(self) -> datetime:
        """The moment from which another process may go on with the import, if no heartbeat comes until then."""
        if not self.has_owner or self.process_alive is False:
            return self.heartbeat_at
        return self.heartbeat_at + timedelta(seconds=self.lease_seconds)

    def said_of_takeover(self) -> str:
        """When another process may go on with the import, as a part of a sentence."""
        if not self.has_owner or self.process_alive is False:
            return "its process is gone, so the next run goes on with it at once"
        if self.process_alive:
            return "should its process die, the next run goes on with it at once"
        return f"if nothing more is heard of it, the next run goes on with it from {self.takeover_at():%H:%M:%S} UTC on"

    def is_dead(self, now: datetime) -> bool:
        """Whether another process may go on with the import now."""
        return self.takeover_at() <= now
