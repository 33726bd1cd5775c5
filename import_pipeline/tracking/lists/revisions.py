"""The revision of each source by which its details were fetched. Another number fetches all of them again, once."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Connection, Integer, String, Table, select

from import_pipeline.contracts.column_types import UtcDateTime
from import_pipeline.tracking.database.dialect import insert_into
from import_pipeline.tracking.tables import tracking_metadata

source_revisions = Table(
    "source_revisions",
    tracking_metadata,
    Column("source", String(100), primary_key=True, doc="The source; it has a row once its revision was not 1."),
    Column("revision", Integer, nullable=False, doc="The revision by which all later details were fetched."),
    Column("import_id", BigInteger, nullable=False, doc="The import that found it."),
    Column("changed_at", UtcDateTime, nullable=False, doc="When it was found."),
)

#: The revision of a source that has no row.
FIRST = 1


def of_source(connection: Connection, source: str) -> int:
    """Return the revision by which the source's details were fetched."""
    found = select(source_revisions.c.revision).where(source_revisions.c.source == source)
    return int(connection.scalar(found) or FIRST)


def found_by(connection: Connection, source: str) -> int:
    """Return the import that found the source's revision; 0 if it is the first one."""
    found = select(source_revisions.c.import_id).where(source_revisions.c.source == source)
    return int(connection.scalar(found) or 0)


def store(connection: Connection, source: str, revision: int, *, import_id: int, now: datetime) -> None:
    """Store the revision. Call it in the transaction that forgets the versions of the one before."""
    values = {"revision": revision, "import_id": import_id, "changed_at": now}
    statement = insert_into(connection, source_revisions).values(source=source, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["source"], set_=values))
