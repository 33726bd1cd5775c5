"""The requests that workers send: counted with their import, and with the shard that sent them."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, update

from import_pipeline.tracking.leases import Lease, place_of
from import_pipeline.tracking.tables import import_shards, imports


@dataclass(frozen=True, kw_only=True)
class Sent:
    """Requests that no transaction has counted before, and the answers of status 429 among theirs."""

    requests: int = 0
    hits: int = 0


NOTHING = Sent()


def counted(sent: Sent) -> dict[str, Any]:
    """The import's counters with those requests added, for an UPDATE."""
    return {
        "requests_count": imports.c.requests_count + sent.requests,
        "rate_limit_hits_count": imports.c.rate_limit_hits_count + sent.hits,
    }


def add_to_shard(connection: Connection, lease: Lease, sent: Sent, **values: Any) -> bool:
    """Add to the shard's own counters; False where its place is lost. The import's row is to be locked before."""
    shards = import_shards
    added = (
        update(shards)
        .where(place_of(lease))
        .values(
            requests_count=shards.c.requests_count + sent.requests,
            rate_limit_hits_count=shards.c.rate_limit_hits_count + sent.hits,
            **values,
        )
    )
    return connection.execute(added).rowcount == 1
