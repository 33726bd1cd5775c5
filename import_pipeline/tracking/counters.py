"""The counters of an import's items and requests: they move in the transaction of the rows that they count."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, update

from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking.leases import Lease, hold, lost
from import_pipeline.tracking.request_counters import NOTHING, Sent, add_to_shard
from import_pipeline.tracking.tables import imports


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """How many items have come to which end."""

    imported: int = 0
    unchanged: int = 0
    failed: int = 0  #: for good

    def __sub__(self, other: "Outcomes") -> "Outcomes":
        """What the other counts too little."""
        return Outcomes(
            imported=self.imported - other.imported,
            unchanged=self.unchanged - other.unchanged,
            failed=self.failed - other.failed,
        )


# Built once, since every batch of items needs them.
_COUNT_SHARDS = (
    update(imports)
    .where(imports.c.id == bindparam("of_import"), imports.c.status == ImportStatus.RUNNING)
    .values(
        updated_at=bindparam("now"),
        items_imported_count=imports.c.items_imported_count + bindparam("imported"),
        items_unchanged_count=imports.c.items_unchanged_count + bindparam("unchanged"),
        items_failed_count=imports.c.items_failed_count + bindparam("failed"),
        requests_count=imports.c.requests_count + bindparam("requests"),
        rate_limit_hits_count=imports.c.rate_limit_hits_count + bindparam("hits"),
    )
)
_COUNT = _COUNT_SHARDS.where(imports.c.fence == bindparam("of_fence")).values(heartbeat_at=bindparam("now"))


def add(connection: Connection, lease: Lease, now: datetime, outcomes: Outcomes, sent: Sent = NOTHING) -> None:
    """Add to the counters of the lease's import, and lock its row until the transaction ends; raises LeaseLost."""
    values: Mapping[str, Any] = {"of_import": lease.import_id, "now": now, **vars(outcomes), **vars(sent)}
    if lease.shard is not None:
        hold(connection, lease, to_write=True)
        connection.execute(_COUNT_SHARDS, values)
        if outcomes.imported or outcomes.unchanged:
            add_to_shard(connection, lease, sent, launches=1)  # it has got on: the runs before it count no more
        elif sent.requests:
            add_to_shard(connection, lease, sent)
    elif connection.execute(_COUNT, {**values, "of_fence": lease.fence}).rowcount != 1:
        raise lost(lease)
