"""The number of an item among those of its source, which says what bucket of partitions it belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, empty: a source that wants buckets numbers its items as it meets them."""
    op.add_column("source_items", sa.Column("number", sa.BigInteger(), nullable=True))
    op.create_index("ix_source_items_number", "source_items", ["source", "number"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_source_items_number", "source_items")
    with op.batch_alter_table("source_items") as batch:
        batch.drop_column("number")
