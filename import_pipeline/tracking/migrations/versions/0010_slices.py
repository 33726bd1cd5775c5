"""Slices: many lists in one import, and the slice of each item."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ADDED = (
    ("imports", "slices_count"),
    ("imports", "slices_completed_count"),
    ("imports", "slices_failed_count"),
    ("source_items", "slice"),
    ("source_items", "changed_import_id"),
)


def upgrade() -> None:
    """Create the table of slices; imports so far have one list each."""
    op.create_table(
        "import_slices",
        sa.Column("id", KEY, nullable=False),
        sa.Column("import_id", KEY, nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("status", sa.String(20), nullable=False, server_default="pending"),
        sa.Column("fence", sa.Integer(), nullable=True),
        sa.Column("failure_count", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("failure_reason", sa.Text(), nullable=True),
        sa.Column("last_failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("checkpoint", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("page", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("items_count", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("incomplete_reason", sa.Text(), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name="fk_import_slices_import_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_import_slices"),
        sa.UniqueConstraint("import_id", "key", name="uq_import_slices_import_id_key"),
    )
    op.create_index("ix_import_slices_claim", "import_slices", ["import_id", "status", "next_attempt_at", "id"])
    op.add_column("imports", sa.Column("slices_count", sa.BigInteger(), nullable=True))
    for name in ("slices_completed_count", "slices_failed_count"):
        op.add_column("imports", sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.add_column("source_items", sa.Column("slice", sa.String(255), nullable=True))
    op.add_column("source_items", sa.Column("changed_import_id", sa.BigInteger(), nullable=True))
    op.execute("UPDATE source_items SET changed_import_id = last_import_id")


def downgrade() -> None:
    """Drop them. In place: a table that is copied on SQLite would take the rows that refer to it along."""
    op.drop_table("import_slices")
    for table, column in ADDED:
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
