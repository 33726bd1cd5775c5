"""The example of what comes after an import: the application's own `items`, made from `imported_items`.

What was imported is kept as the API gave it; the application reads rows in its own shape, which only ever follow a
completed import.
"""

from collections.abc import Sequence

import dagster as dg
from sqlalchemy import Connection, Integer, String, Text, cast, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline.contracts import ImportableMixin, ImportSource
from import_pipeline.defs import names
from import_pipeline.defs.downstream import build_downstream_sensor, completed_imports
from import_pipeline.importer.installation import Installation, open_for
from import_pipeline.sources.items import ImportedItem
from import_pipeline.tracking.completions import items_of
from import_pipeline.tracking.database.dialect import insert_into
from import_pipeline.tracking.user_rows.model_columns import chunks
from import_pipeline.tracking.user_rows.user_tables import ensure_table


class Base(DeclarativeBase):
    """The application's own tables."""


class Item(ImportableMixin, Base):
    """An item as the application sells it."""

    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(255))
    text: Mapped[str] = mapped_column(Text)
    price_cents: Mapped[int]


def carry_over(connection: Connection, external_ids: Sequence[str] | None) -> int:
    """Insert or update the application's rows of these items, of all where there is None; returns how many."""
    if external_ids is None:
        return _carry_over(connection)
    return sum(_carry_over(connection, ImportedItem.external_id.in_(some)) for some in chunks(external_ids))


def _carry_over(connection: Connection, *chosen: object) -> int:
    """One statement: the database reads and writes. Stubs have no price yet; they are left out."""
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
    """Make the example's table where its source is listed; for one who may, before those who may not."""
    if _source(installation.sources) is not None:
        ensure_table(installation.database, Item)


def _source(sources: Sequence[ImportSource]) -> ImportSource | None:
    return next((each for each in sources if each.model is ImportedItem), None)


def after_items(sources: Sequence[ImportSource]) -> dg.Definitions:
    """The asset `items` and its sensor, where the example's source is listed; nothing otherwise."""
    source = _source(sources)
    if source is None:
        return dg.Definitions()

    @dg.asset(deps=[names.enriched(source.name)], group_name="application", kinds={"table"})
    def items(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        """The application's items, in its own table; after an import of chosen items these only."""
        import_ids = completed_imports(context)
        with open_for(source) as (installation, _):
            ensure_table(installation.database, Item)
            with installation.database.write() as connection:
                count = carry_over(connection, items_of(connection, import_ids))
        return dg.MaterializeResult(metadata={"rows_written": count, "completed_imports": list(import_ids)})

    return dg.Definitions(assets=[items], sensors=[build_downstream_sensor(source, items)])
