"""The tracking tables as assets, materialized at the end of every import."""

from collections.abc import Iterator

import dagster as dg

from import_pipeline.defs import metadata, names
from import_pipeline.defs.links import Links
from import_pipeline.importer.summary import ImportSummary
from import_pipeline.tracking import imports, tables
from import_pipeline.tracking.database.engine import Database

DESCRIPTIONS = {
    names.IMPORTS: "One row per import: its scope, status, counters, and the reason for its end.",
    names.ITEM_STATUSES: "One row per item and import: its status, tries, failures and lease.",
}


def tracking_specs(links: Links) -> list[dg.AssetSpec]:
    """Return an asset for each table, with its columns."""
    by_name = {names.IMPORTS: tables.imports, names.ITEM_STATUSES: tables.import_item_statuses}
    return [
        dg.AssetSpec(
            name,
            description=DESCRIPTIONS[name],
            group_name="tracking",
            kinds={links.kind},
            metadata=metadata.of_table(name, table, uri=links.table(name))
            | {"panel": dg.MetadataValue.url(links.panel)},
        )
        for name, table in by_name.items()
    ]


def tracking_events(database: Database, summary: ImportSummary, links: Links) -> Iterator[dg.AssetMaterialization]:
    """Yield a materialization for each table, with the import's figures and the table's row count."""
    with database.read() as connection:
        counts = imports.row_counts(connection)
    figures = metadata.of_summary(summary) | metadata.link_to(links, summary.import_id)
    for name, count in zip((names.IMPORTS, names.ITEM_STATUSES), counts, strict=True):
        yield dg.AssetMaterialization(
            asset_key=name,
            description=f"Import {summary.import_id} of {summary.source}: {summary.display_status}",
            metadata={"dagster/row_count": count, **figures, "summary": metadata.summary_table(summary)},
        )
