"""The table of slices: the lists of an import that has many."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    ForeignKey,
    FromClause,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    and_,
    text,
)

from import_pipeline.contracts.column_types import UtcDateTime
from import_pipeline.rules.status import ItemStatus
from import_pipeline.tracking.database.text_columns import Sentence
from import_pipeline.tracking.tables import BigKey, imports, tracking_metadata

import_slices = Table(
    "import_slices",
    tracking_metadata,
    Column("id", BigKey, primary_key=True),
    Column("import_id", ForeignKey(imports.c.id, ondelete="CASCADE"), nullable=False),
    Column("key", String(255), nullable=False),
    Column("status", String(20), nullable=False, server_default=ItemStatus.PENDING),  # as of an item
    Column("fence", Integer),  # of the lead that claimed it: a later lead may take it
    Column("failure_count", Integer, nullable=False, server_default=text("0")),  # since its last stored page
    Column("failure_reason", Sentence),
    Column("last_failed_at", UtcDateTime),
    Column("next_attempt_at", UtcDateTime),  # null: failed permanently
    Column("checkpoint", JSON(none_as_null=True)),
    Column("page", Integer, nullable=False, server_default=text("0")),  # the furthest page that was stored
    Column("items_count", BigInteger, nullable=False, server_default=text("0")),  # different items on its pages
    Column("incomplete_reason", Sentence),  # why its end is doubtful, although it was read
    Column("completed_at", UtcDateTime),
    UniqueConstraint("import_id", "key"),
)
# Serves claims and counts by status.
Index(
    "ix_import_slices_claim",
    import_slices.c.import_id,
    import_slices.c.status,
    import_slices.c.next_attempt_at,
    import_slices.c.id,
)


def was_read_whole(of: FromClause = import_slices) -> ColumnElement[bool]:
    """Return the condition for slices that were read to an end which is not doubtful; `of`: an alias of the table."""
    return and_(of.c.status == ItemStatus.COMPLETED, of.c.incomplete_reason.is_(None))
