"""The example of a downstream asset: the application's own table `items`, made from `imported_items`.

`imported_items` holds the data as the API sent it; the application reads `items` in its own shape. Its rows change only
after a completed import.
"""

from collections.abc import Sequence

import dagster as dg
from sqlalchemy import Connection, Integer, String, Text, cast, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import ImportableMixin, ImportSource, items_of, open_for
from import_pipeline.dagster import build_downstream_sensor, completed_imports
from import_pipeline.defs import names
from import_pipeline.importer.installation import Installation
from import_pipeline.sources.items import ImportedItem
from import_pipeline.tracking.database.dialect import chunks, insert_into
from import_pipeline.tracking.user_rows.user_tables import ensure_table


class Base(DeclarativeBase):
    """The declarative base of the application's own tables."""


class Item(ImportableMixin, Base):
    """An item in the application's shape."""

    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(255))
    text: Mapped[str] = mapped_column(Text)
    price_cents: Mapped[int]


def carry_over(connection: Connection, external_ids: Sequence[str] | None) -> int:
    """Insert or update the application's rows of these items; None means all. Return the number of rows."""
    if external_ids is None:
        return _carry_over(connection)
    return sum(_carry_over(connection, ImportedItem.external_id.in_(some)) for some in chunks(external_ids))


def _carry_over(connection: Connection, *chosen: object) -> int:
    """Copy the rows in one statement, inside the database. Stubs have no price yet and are left out."""
    cents = cast(func.round(ImportedItem.price * 100), Integer)
    text = func.coalesce(ImportedItem.description, "")
    ready = select(ImportedItem.external_id, ImportedItem.name, text, cents)
    ready = ready.where(ImportedItem.name.is_not(None), ImportedItem.price.is_not(None), *chosen)  # type: ignore[arg-type]
    columns = ["external_id", "title", "text", "price_cents"]
    statement = insert_into(connection, Item.__table__).from_select(columns, ready)
    changed = {name: statement.excluded[name] for name in columns[1:]}
    return int(
        connection.execute(statement.on_conflict_do_update(index_elements=["external_id"], set_=changed)).rowcount
    )


def ensure_tables(installation: Installation) -> None:
    """Create the example's table if its source is listed. `import-pipeline migrate` does so for roles that may not."""
    if _source(installation.sources) is not None:
        ensure_table(installation.database, Item)


def _source(sources: Sequence[ImportSource]) -> ImportSource | None:
    return next((each for each in sources if each.model is ImportedItem), None)


def after_items(sources: Sequence[ImportSource]) -> dg.Definitions:
    """Return the asset `items` and its sensor; nothing if the example's source is not listed."""
    source = _source(sources)
    if source is None:
        return dg.Definitions()

    @dg.asset(deps=[names.enriched(source.name)], group_name="application", kinds={"table"})
    def items(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        """The application's items. After an import of selected items, only those are updated."""
        import_ids = completed_imports(context)
        with open_for(source) as (installation, _):
            ensure_table(installation.database, Item)
            with installation.database.write() as connection:
                count = carry_over(connection, items_of(connection, import_ids))
        return dg.MaterializeResult(metadata={"rows_written": count, "completed_imports": list(import_ids)})

    return dg.Definitions(assets=[items], sensors=[build_downstream_sensor(source, items)])
