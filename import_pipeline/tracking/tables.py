"""The tracking tables. They hold no foreign key to the user's tables, and the user's tables none to them."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

from import_pipeline.redaction import redact
from import_pipeline.rules.status import ImportStatus, ItemStatus

tracking_metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, kept as UTC; SQLite has no zones, so there it is stored without and read back with one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse what has no zone; a naive time would be somebody's local time."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"expected an aware datetime, got {value!r}")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Always aware, always UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Storable(TypeDecorator[str]):
    """Text of an API: what no database stores (a zero byte, half a character) is replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The text as every database takes it."""
        return None if value is None else value.encode(errors="replace").decode().replace("\0", "?")


class Sentence(Storable):
    """Text for people that may quote an API: secrets in it are masked."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The text without secrets."""
        return super().process_bind_param(value if value is None else redact(value), dialect)


# SQLite numbers rows by itself only for a primary key of exactly the type INTEGER.
BigKey = BigInteger().with_variant(Integer, "sqlite")


def _counter(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def _json() -> Column[Any]:
    return Column("metadata", JSON, nullable=False, server_default=text("'{}'"))


imports = Table(
    "imports",
    tracking_metadata,
    Column("id", BigKey, primary_key=True),
    Column("source", String(100), nullable=False),
    Column("importable_type", String(200), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("trigger", String(20), nullable=False),
    Column("status", String(20), nullable=False, server_default=ImportStatus.SCHEDULED),
    Column("slot_at", UtcDateTime),  # null for requests
    Column("scheduled_at", UtcDateTime),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("cancelled_at", UtcDateTime),
    Column("items_count", BigInteger),  # null before page one; corrected when discovery ends
    _counter("items_imported_count"),
    _counter("items_unchanged_count"),
    _counter("items_failed_count"),  # failed for good
    _counter("requests_count"),
    _counter("rate_limit_hits_count"),
    _counter("rate_limit_sleeps_count"),
    Column("total_sleep_seconds", Float, nullable=False, server_default=text("0")),
    Column("finalize_attempts", Integer, nullable=False, server_default=text("0")),
    Column("last_finalize_attempt_at", UtcDateTime),
    Column("heartbeat_at", UtcDateTime),
    Column("host", String(255)),
    Column("pid", Integer),
    Column("dagster_run_id", String(64)),
    Column("resumes", Integer, nullable=False, server_default=text("0")),
    Column("fence", Integer, nullable=False, server_default=text("0")),  # grows with every process that takes over
    Column("run_requested_at", UtcDateTime),
    Column("checkpoint", JSON(none_as_null=True)),  # null until page one is stored
    Column("blocked_until", UtcDateTime),
    Column("cancel_requested_at", UtcDateTime),
    Column("requested_by", String(200)),
    Column("retry_of", BigInteger),
    Column("incomplete_reason", Sentence),
    Column("failure_reason", Sentence),
    _json(),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("source", "slot_at"),
)

# One running import per source is a fact of the database, whatever any queue believes.
Index(
    "uq_imports_running",
    imports.c.source,
    unique=True,
    sqlite_where=imports.c.status == text("'running'"),
    postgresql_where=imports.c.status == text("'running'"),
)
Index("ix_imports_source_status", imports.c.source, imports.c.status, imports.c.scheduled_at)

import_shards = Table(
    "import_shards",
    tracking_metadata,
    Column("import_id", ForeignKey(imports.c.id, ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 2 on: the import's own run is the first
    Column("fence", Integer, nullable=False, server_default=text("0")),  # grows with every process that takes it
    Column("worker", String(64)),  # as in claimed_by
    Column("host", String(255)),
    Column("pid", Integer),  # null: nobody works as this shard
    Column("dagster_run_id", String(64)),
    Column("run_requested_at", UtcDateTime),
    Column("launches", Integer, nullable=False, server_default=text("0")),  # runs asked for since one left in order
    Column("started_at", UtcDateTime),
    Column("heartbeat_at", UtcDateTime),
    Column("ended_at", UtcDateTime),  # null: it is to work, or would be
    _counter("requests_count"),
    _counter("rate_limit_hits_count"),
)

import_item_statuses = Table(
    "import_item_statuses",
    tracking_metadata,
    Column("id", BigKey, primary_key=True),
    Column("import_id", ForeignKey(imports.c.id, ondelete="CASCADE"), nullable=False),
    Column("importable_type", String(200), nullable=False),
    Column("importable_id", String(200)),  # null until stored
    Column("external_id", String(255), nullable=False),
    Column("status", String(20), nullable=False, server_default=ItemStatus.PENDING),
    Column("failure_count", Integer, nullable=False, server_default=text("0")),
    Column("last_failed_at", UtcDateTime),
    Column("failure_reason", Sentence),
    Column("next_attempt_at", UtcDateTime),  # of a failed item; null: failed for good
    Column("claimed_by", String(64)),
    Column("lease_expires_at", UtcDateTime),
    Column("completed_at", UtcDateTime),
    _json(),
    UniqueConstraint("import_id", "importable_type", "external_id"),
)
# Serves claims (status, then what is due first) and counts by status without a look at the rows.
Index(
    "ix_import_item_statuses_claim",
    import_item_statuses.c.import_id,
    import_item_statuses.c.status,
    import_item_statuses.c.next_attempt_at,
    import_item_statuses.c.id,
)
# Serves an importable's own history.
Index(
    "ix_import_item_statuses_importable",
    import_item_statuses.c.importable_type,
    import_item_statuses.c.external_id,
    import_item_statuses.c.id,
)

source_items = Table(
    "source_items",
    tracking_metadata,
    Column("source", String(100), primary_key=True),
    Column("external_id", String(255), primary_key=True),
    Column("version", Storable),  # of the details that were imported last, null: never
    Column("etag", Storable),
    Column("first_import_id", BigInteger, nullable=False),
    Column("last_import_id", BigInteger, nullable=False),
    Column("gone_at", UtcDateTime),
    Column("number", BigInteger),  # in the order of meeting, where the source has partitions in buckets
)
Index("ix_source_items_last_import", source_items.c.source, source_items.c.last_import_id)
Index("ix_source_items_number", source_items.c.source, source_items.c.number)

import_events = Table(
    "import_events",
    tracking_metadata,
    Column("id", BigKey, primary_key=True),
    Column("import_id", ForeignKey(imports.c.id, ondelete="CASCADE"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("action", String(60), nullable=False),  # stable, for programs
    Column("message", Sentence, nullable=False),  # a sentence, for people
    _json(),
)
Index("ix_import_events_import", import_events.c.import_id, import_events.c.id)

import_requests = Table(
    "import_requests",
    tracking_metadata,
    Column("id", BigKey, primary_key=True),
    Column("source", String(100), nullable=False),
    Column("wish", String(20), nullable=False),  # new, reschedule, cancel, retry, delete
    Column("import_id", BigInteger),  # the import it speaks of
    Column("fresh", Boolean, nullable=False, server_default=text("false")),
    Column("requested_by", String(200)),
    Column("reason", Sentence),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("handled_at", UtcDateTime),
    Column("outcome", Sentence),
    Column("result_import_id", BigInteger),  # the import that came of it
    _json(),
)
Index("ix_import_requests_open", import_requests.c.source, import_requests.c.handled_at, import_requests.c.id)
