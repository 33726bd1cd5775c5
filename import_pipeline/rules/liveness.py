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

    def is_dead(self, now: datetime) -> bool:
        """Whether another process may go on with the import now."""
        return self.takeover_at() <= now
