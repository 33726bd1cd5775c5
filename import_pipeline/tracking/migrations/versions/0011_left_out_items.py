"""Counts of items without details: those that the source skips, and those that the API no longer has."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ADDED = ("items_skipped_count", "items_gone_count")


def upgrade() -> None:
    """Add the counters, at zero: earlier imports counted such items as failed."""
    for name in ADDED:
        op.add_column("imports", sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    """Drop them. In place: a table that is copied on SQLite would take the rows that refer to it along."""
    for name in ADDED:
        op.execute(f"ALTER TABLE imports DROP COLUMN {name}")
