"""The tracking tables. No foreign key leads from them to the user's tables, nor from those to them."""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

from import_pipeline.contracts.column_types import UtcDateTime
from import_pipeline.rules.status import ImportStatus, ItemStatus
from import_pipeline.tracking.database.text_columns import Name, Sentence, Storable

tracking_metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


# SQLite generates ids only for a primary key of exactly the type INTEGER.
BigKey = BigInteger().with_variant(Integer, "sqlite")


def _counter(name: str, doc: str | None = None) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"), doc=doc)


def _json(doc: str | None = None) -> Column[Any]:
    return Column("metadata", JSON, nullable=False, server_default=text("'{}'"), doc=doc)


# Dagster's catalog shows the `doc` of a column; the database does not store it.


imports = Table(
    "imports",
    tracking_metadata,
    Column("id", BigKey, primary_key=True, doc="The import's number."),
    Column("source", String(100), nullable=False, doc="The name of the source."),
    Column("importable_type", String(200), nullable=False, doc="The name of the class whose rows it fills."),
    Column(
        "kind",
        String(20),
        nullable=False,
        doc="One of full, incremental (the changes), discovery (only the list), selection.",
    ),
    Column(
        "trigger", String(20), nullable=False, doc="What started it: schedule, request, reschedule, cli, ui or retry."
    ),
    Column(
        "status",
        String(20),
        nullable=False,
        server_default=ImportStatus.SCHEDULED,
        doc="One of scheduled, running, completed, failed, cancelled.",
    ),
    Column("slot_at", UtcDateTime, doc="The slot it belongs to; null for requests."),
    Column("scheduled_at", UtcDateTime, doc="When it is due; a RESCHEDULE moves it to now."),
    Column("started_at", UtcDateTime, doc="When its first worker began."),
    Column("ended_at", UtcDateTime, doc="When it was completed, failed or cancelled."),
    Column("cancelled_at", UtcDateTime, doc="When it was cancelled."),
    Column("items_count", BigInteger, doc="Items in the list; null before page one, corrected when discovery ends."),
    _counter("items_imported_count", "Items whose details were stored."),
    _counter("items_unchanged_count", "Items whose version has not changed, so that no details were fetched."),
    _counter("items_failed_count", "Items that failed permanently."),
    _counter("items_skipped_count", "Items that the source does not import, as their responses say."),
    _counter("items_gone_count", "Items that the API no longer had when their details were requested."),
    Column("slices_count", BigInteger, doc="Slices of its list, as far as they are known; null: it has one list."),
    _counter("slices_completed_count", "Slices that were read to their end."),
    _counter("slices_failed_count", "Slices that failed permanently."),
    _counter("requests_count", "Requests sent, including repeated ones."),
    _counter("rate_limit_hits_count", "Responses by which the API enforced its rate limits, such as 429."),
    _counter("rate_limit_sleeps_count", "Waits for a permit or for the API's pause."),
    Column(
        "total_sleep_seconds",
        Float,
        nullable=False,
        server_default=text("0"),
        doc="Seconds in which all workers waited like this; each second counts once.",
    ),
    Column("finalize_attempts", Integer, nullable=False, server_default=text("0"), doc="Tries to finalize it."),
    Column("last_finalize_attempt_at", UtcDateTime, doc="The latest try to finalize it."),
    Column("heartbeat_at", UtcDateTime, doc="The latest heartbeat of its worker."),
    Column("heartbeat_monotonic", Float, doc="That heartbeat by the machine's monotonic clock, in seconds."),
    Column("elapsed_seconds", Float, doc="Seconds from its start to that heartbeat, by a clock that is never set."),
    Column("host", String(255), doc="The machine of its worker."),
    Column("pid", Integer, doc="The process of its worker; null: no worker."),
    Column("process_began", BigInteger, doc="The start of that process, in clock ticks since its machine was booted."),
    Column("dagster_run_id", String(64), doc="The Dagster run that executes it."),
    Column(
        "resumes",
        Integer,
        nullable=False,
        server_default=text("0"),
        doc="Resumes in a row without progress.",
    ),
    Column(
        "fence",
        Integer,
        nullable=False,
        server_default=text("0"),
        doc="The fencing token: grows with every takeover, so that earlier workers cannot write.",
    ),
    Column("run_requested_at", UtcDateTime, doc="When a Dagster run was requested."),
    Column(
        "checkpoint",
        JSON(none_as_null=True),
        doc="The point at which discovery resumes; null until page one is stored.",
    ),
    Column("blocked_until", UtcDateTime, doc="The end of a long pause that the API requested."),
    Column("cancel_requested_at", UtcDateTime, doc="When its cancellation was requested."),
    Column("requested_by", Name, doc="Who requested it."),
    Column("retry_of", BigInteger, doc="The import whose failed or undone items it takes over."),
    Column("incomplete_reason", Sentence, doc="Why it has fewer items than the list."),
    Column("failure_reason", Sentence, doc="Why it failed or was cancelled."),
    _json("Its options and further facts."),
    Column("created_at", UtcDateTime, nullable=False, doc="When the row was created."),
    Column("updated_at", UtcDateTime, nullable=False, doc="When the row was changed last."),
    UniqueConstraint("source", "slot_at"),
    sqlite_autoincrement=True,  # otherwise the id of a deleted import is reused
)

# The database itself allows one running import per source.
Index(
    "uq_imports_running",
    imports.c.source,
    unique=True,
    sqlite_where=imports.c.status == text("'running'"),
    postgresql_where=imports.c.status == text("'running'"),
)
Index("ix_imports_source_status", imports.c.source, imports.c.status, imports.c.scheduled_at)
# Serve displays after years of imports: a page in order of time, of all imports or of a source or status. No index on
# an expression: on SQLite a migration that rebuilds the table loses those.
Index("ix_imports_listed", imports.c.scheduled_at, imports.c.created_at)
Index("ix_imports_source_listed", imports.c.source, imports.c.scheduled_at, imports.c.created_at)
Index("ix_imports_status_listed", imports.c.status, imports.c.scheduled_at, imports.c.created_at)
# Serve the newest import of a source, by its start or its end.
Index("ix_imports_source_id", imports.c.source, imports.c.id)
Index("ix_imports_source_ended", imports.c.source, imports.c.status, imports.c.ended_at)

import_shards = Table(
    "import_shards",
    tracking_metadata,
    Column("import_id", ForeignKey(imports.c.id, ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 2 on: the lead is the first worker
    Column("fence", Integer, nullable=False, server_default=text("0")),  # grows with every process that acquires it
    Column("worker", String(64)),  # as in claimed_by
    Column("host", String(255)),
    Column("pid", Integer),  # null: no worker
    Column("process_began", BigInteger),  # in clock ticks since its machine was booted
    Column("dagster_run_id", String(64)),
    Column("run_requested_at", UtcDateTime),
    Column("launches", Integer, nullable=False, server_default=text("0")),  # runs requested since a release in order
    Column("started_at", UtcDateTime),
    Column("heartbeat_at", UtcDateTime),
    Column("heartbeat_monotonic", Float),  # that heartbeat by the monotonic clock of the worker's machine
    Column("ended_at", UtcDateTime),  # null: it has work, or will have
    _counter("requests_count"),
    _counter("rate_limit_hits_count"),
)

source_schedules = Table(
    "source_schedules",
    tracking_metadata,
    Column("source", String(100), primary_key=True, doc="The source; it has a row once its schedule was off."),
    Column("off_since", UtcDateTime, doc="The first check that found its schedule off; null: it is on."),
    Column("off_seen_at", UtcDateTime, doc="The latest check that found its schedule off."),
)

import_item_statuses = Table(
    "import_item_statuses",
    tracking_metadata,
    Column("id", BigKey, primary_key=True, doc="The row's number."),
    Column(
        "import_id",
        ForeignKey(imports.c.id, ondelete="CASCADE"),
        nullable=False,
        doc="The import that the row belongs to.",
    ),
    Column("importable_type", String(200), nullable=False, doc="The name of the class of the item's row."),
    Column("importable_id", String(200), doc="The primary key of the item's row; null until stored."),
    Column("external_id", String(255), nullable=False, doc="The id by which the API knows the item."),
    Column(
        "status",
        String(20),
        nullable=False,
        server_default=ItemStatus.PENDING,
        doc="One of pending, processing, completed, failed.",
    ),
    Column("failure_count", Integer, nullable=False, server_default=text("0"), doc="The number of failed tries."),
    Column("last_failed_at", UtcDateTime, doc="When the latest try failed."),
    Column("failure_reason", Sentence, doc="Why the latest try failed."),
    Column("next_attempt_at", UtcDateTime, doc="When a failed item is tried again; null: failed permanently."),
    Column("claimed_by", String(64), doc="The worker that holds it."),
    Column("lease_expires_at", UtcDateTime, doc="When others may take it from its worker."),
    Column("completed_at", UtcDateTime, doc="When it was imported or found unchanged."),
    Column("position", Storable, doc="Its position in the list, if its source is incremental."),
    Column("reading", Integer, doc="The reading of the list that named it last, from 1, if its source is incremental."),
    _json("Its options and further facts."),
    UniqueConstraint("import_id", "importable_type", "external_id"),
)
# Serves claims (by status, then by time) and counts by status without reading the rows.
Index(
    "ix_import_item_statuses_claim",
    import_item_statuses.c.import_id,
    import_item_statuses.c.status,
    import_item_statuses.c.next_attempt_at,
    import_item_statuses.c.id,
)
# Serves the history of an importable.
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
    Column("version", Storable),  # the stored version: of the details that were imported last; null: never
    Column("etag", Storable),
    Column("first_import_id", BigInteger, nullable=False),
    Column("last_import_id", BigInteger, nullable=False),
    Column("gone_at", UtcDateTime),
    Column("slice", String(255)),  # the slice that listed it last; null: none, or several of one import
    Column("changed_import_id", BigInteger),  # the import that last listed it as new or with another version
    Column("number", BigInteger),  # the item number, in order of discovery, if the source has partitions in buckets
    Column("owed_import_id", BigInteger),  # the import that could not fetch it, of an incremental source
)
Index("ix_source_items_last_import", source_items.c.source, source_items.c.last_import_id)
Index("ix_source_items_number", source_items.c.source, source_items.c.number)
Index("ix_source_items_owed", source_items.c.source, source_items.c.owed_import_id)

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
    Column("import_id", BigInteger),  # the import that it concerns
    Column("fresh", Boolean, nullable=False, server_default=text("false")),
    Column("requested_by", Name),
    Column("reason", Sentence),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("handled_at", UtcDateTime),
    Column("outcome", Sentence),
    Column("result_import_id", BigInteger),  # the import that it created
    _json(),
)
Index("ix_import_requests_open", import_requests.c.source, import_requests.c.handled_at, import_requests.c.id)

panel_logouts = Table(
    "panel_logouts",
    tracking_metadata,
    Column("login", String(64), primary_key=True),  # a login that its person has ended
    Column("until", UtcDateTime, nullable=False),  # when it would have expired
)
