"""What is known of an item across imports: the version whose details are stored, and who saw it last."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, func, select

from import_pipeline.tracking.importables import chunks, insert_into
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.tables import source_items


def known(connection: Connection, source: str, external_ids: Sequence[str]) -> dict[str, str]:
    """external_id -> the version whose details are stored, of those that were imported before."""
    found: dict[str, str] = {}
    for some in chunks(external_ids):
        rows = select(source_items.c.external_id, source_items.c.version).where(
            source_items.c.source == source, source_items.c.external_id.in_(some)
        )
        found |= {row.external_id: row.version for row in connection.execute(rows)}
    return found


def remember(connection: Connection, row: ImportRow, versions: Mapping[str, str | None]) -> None:
    """The import saw those items; a version that is given is the one whose details are stored."""
    if not versions:
        return
    statement = insert_into(connection, source_items)
    statement = statement.on_conflict_do_update(
        index_elements=["source", "external_id"],
        set_={
            "last_import_id": row.id,
            "gone_at": None,
            "version": func.coalesce(statement.excluded.version, source_items.c.version),
        },
    )
    connection.execute(
        statement,
        [
            {
                "source": row.source,
                "external_id": external_id,
                "version": version,
                "first_import_id": row.id,
                "last_import_id": row.id,
            }
            for external_id, version in versions.items()
        ],
    )
