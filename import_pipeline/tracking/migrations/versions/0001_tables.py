"""The tables of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BigKey = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make them."""
    _imports()
    _import_item_statuses()
    _source_items()
    _import_events()
    _import_requests()


def downgrade() -> None:
    """Drop them, with all history."""
    for table in ("import_requests", "import_events", "source_items", "import_item_statuses", "imports"):
        op.drop_table(table)


def _imports() -> None:
    op.create_table(
        "imports",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.Column("importable_type", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("trigger", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=20), server_default="scheduled", nullable=False),
        sa.Column("slot_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("scheduled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("items_count", sa.BigInteger(), nullable=True),
        sa.Column("items_imported_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("items_unchanged_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("items_failed_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("requests_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("rate_limit_hits_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("rate_limit_sleeps_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("total_sleep_seconds", sa.Float(), server_default=sa.text("0"), nullable=False),
        sa.Column("finalize_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_finalize_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("host", sa.String(length=255), nullable=True),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("dagster_run_id", sa.String(length=64), nullable=True),
        sa.Column("resumes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("fence", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("run_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("checkpoint", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("requested_by", sa.String(length=200), nullable=True),
        sa.Column("retry_of", sa.BigInteger(), nullable=True),
        sa.Column("incomplete_reason", sa.Text(), nullable=True),
        sa.Column("failure_reason", sa.Text(), nullable=True),
        sa.Column("metadata", sa.JSON(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
        sa.UniqueConstraint("source", "slot_at", name=op.f("uq_imports_source_slot_at")),
    )
    op.create_index("ix_imports_source_status", "imports", ["source", "status", "scheduled_at"], unique=False)
    op.create_index(
        "uq_imports_running",
        "imports",
        ["source"],
        unique=True,
        sqlite_where=sa.text("status = 'running'"),
        postgresql_where=sa.text("status = 'running'"),
    )


def _import_item_statuses() -> None:
    op.create_table(
        "import_item_statuses",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("import_id", BigKey, nullable=False),
        sa.Column("importable_type", sa.String(length=200), nullable=False),
        sa.Column("importable_id", sa.String(length=200), nullable=True),
        sa.Column("external_id", sa.String(length=255), nullable=False),
        sa.Column("status", sa.String(length=20), server_default="pending", nullable=False),
        sa.Column("failure_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failure_reason", sa.Text(), nullable=True),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_by", sa.String(length=64), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("metadata", sa.JSON(), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"], ["imports.id"], name=op.f("fk_import_item_statuses_import_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_item_statuses")),
        sa.UniqueConstraint(
            "import_id",
            "importable_type",
            "external_id",
            name=op.f("uq_import_item_statuses_import_id_importable_type_external_id"),
        ),
    )
    op.create_index(
        "ix_import_item_statuses_claim",
        "import_item_statuses",
        ["import_id", "status", "next_attempt_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_import_item_statuses_importable",
        "import_item_statuses",
        ["importable_type", "external_id", "id"],
        unique=False,
    )


def _source_items() -> None:
    op.create_table(
        "source_items",
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.Column("external_id", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("etag", sa.Text(), nullable=True),
        sa.Column("first_import_id", sa.BigInteger(), nullable=False),
        sa.Column("last_import_id", sa.BigInteger(), nullable=False),
        sa.Column("gone_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("source", "external_id", name=op.f("pk_source_items")),
    )
    op.create_index("ix_source_items_last_import", "source_items", ["source", "last_import_id"], unique=False)


def _import_events() -> None:
    op.create_table(
        "import_events",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("import_id", BigKey, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("metadata", sa.JSON(), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"], ["imports.id"], name=op.f("fk_import_events_import_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_events")),
    )
    op.create_index("ix_import_events_import", "import_events", ["import_id", "id"], unique=False)


def _import_requests() -> None:
    op.create_table(
        "import_requests",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.Column("wish", sa.String(length=20), nullable=False),
        sa.Column("import_id", sa.BigInteger(), nullable=True),
        sa.Column("fresh", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("requested_by", sa.String(length=200), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("result_import_id", sa.BigInteger(), nullable=True),
        sa.Column("metadata", sa.JSON(), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_requests")),
    )
    op.create_index("ix_import_requests_open", "import_requests", ["source", "handled_at", "id"], unique=False)
