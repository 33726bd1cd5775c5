"""Bookmarks of incremental sources: positions of their items, and items that an import could not fetch."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ITEM_COLUMNS: dict[str, Any] = {"position": sa.Text(), "reading": sa.Integer()}


def upgrade() -> None:
    """Make the table and the columns; they are empty until a source is incremental."""
    op.create_table(
        "source_bookmarks",
        sa.Column("source", sa.String(100), primary_key=True),
        sa.Column("value", sa.Text()),
        sa.Column("positions", sa.String(64)),
        sa.Column("seen", sa.Text()),
        sa.Column("moved_at", sa.DateTime(timezone=True)),
        sa.Column("import_id", sa.BigInteger()),
        sa.Column("revision", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("full_at", sa.DateTime(timezone=True)),
        sa.Column("full_import_id", sa.BigInteger()),
    )
    for name, kind in ITEM_COLUMNS.items():
        op.add_column("import_item_statuses", sa.Column(name, kind))
    op.add_column("source_items", sa.Column("owed_import_id", sa.BigInteger()))
    op.create_index("ix_source_items_owed", "source_items", ["source", "owed_import_id"])


def downgrade() -> None:
    """Drop them. The version before does not know incremental imports."""
    op.execute("UPDATE imports SET kind = 'full' WHERE kind = 'incremental'")
    op.drop_index("ix_source_items_owed", "source_items")
    op.execute("ALTER TABLE source_items DROP COLUMN owed_import_id")
    for name in ITEM_COLUMNS:
        op.execute(f"ALTER TABLE import_item_statuses DROP COLUMN {name}")
    op.drop_table("source_bookmarks")
