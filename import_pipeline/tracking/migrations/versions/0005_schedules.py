"""Schedules that a person has switched off, and which cancelled slots a person has cancelled."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table. What a person cancelled before it started has its request, as from now on: its slot is spent."""
    op.create_table(
        "source_schedules",
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.Column("off_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("off_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_source_schedules")),
    )
    op.execute(
        "UPDATE imports SET cancel_requested_at = cancelled_at WHERE status = 'cancelled' AND started_at IS NULL "
        "AND cancel_requested_at IS NULL AND failure_reason LIKE 'cancelled by %'"
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("source_schedules")
