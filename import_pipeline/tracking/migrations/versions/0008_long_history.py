"""Indexes for a long history of imports: the panel's list and the figures of a source stay as fast as they were."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_imports_listed": ("scheduled_at", "created_at"),
    "ix_imports_source_listed": ("source", "scheduled_at", "created_at"),
    "ix_imports_status_listed": ("status", "scheduled_at", "created_at"),
    "ix_imports_source_id": ("source", "id"),
    "ix_imports_source_ended": ("source", "status", "ended_at"),
}


def upgrade() -> None:
    """Make them."""
    for name, columns in INDEXES.items():
        op.create_index(name, "imports", list(columns))


def downgrade() -> None:
    """Drop them."""
    for name in INDEXES:
        op.drop_index(name, "imports")
