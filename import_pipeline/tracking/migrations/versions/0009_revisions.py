"""The revision of each source by which its details were fetched."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table. A source without a row has revision 1, as all sources had before."""
    op.create_table(
        "source_revisions",
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_source_revisions")),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("source_revisions")
