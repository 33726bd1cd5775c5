"""Signs of life and durations by clocks that are never set."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ADDED = (
    ("imports", "heartbeat_monotonic"),
    ("imports", "elapsed_seconds"),
    ("imports", "process_began"),
    ("import_shards", "process_began"),
    ("import_shards", "heartbeat_monotonic"),
)


def upgrade() -> None:
    """Add the columns, empty: imports that have ended keep the durations of the wall clock, never below zero."""
    op.add_column("imports", sa.Column("heartbeat_monotonic", sa.Float(), nullable=True))
    op.add_column("imports", sa.Column("elapsed_seconds", sa.Float(), nullable=True))
    op.add_column("imports", sa.Column("process_began", sa.BigInteger(), nullable=True))
    op.add_column("import_shards", sa.Column("process_began", sa.BigInteger(), nullable=True))
    op.add_column("import_shards", sa.Column("heartbeat_monotonic", sa.Float(), nullable=True))


def downgrade() -> None:
    """Drop them. In place: a table that is copied on SQLite would take the rows that refer to it along."""
    for table, column in ADDED:
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
