"""The tracking tables as assets: shown beside what they track, reported at the end of every import."""

import dagster as dg

from import_pipeline.defs import metadata, names
from import_pipeline.tracking import tables

DESCRIPTIONS = {
    names.IMPORTS: "One row per import: what it covers, where it stands, its counters, and why it ended.",
    names.ITEM_STATUSES: "One row per item and import: its status, tries, failures and lease.",
}


def tracking_specs() -> list[dg.AssetSpec]:
    """The tables, with their columns."""
    by_name = {names.IMPORTS: tables.imports, names.ITEM_STATUSES: tables.import_item_statuses}
    return [
        dg.AssetSpec(
            name,
            description=DESCRIPTIONS[name],
            group_name="tracking",
            kinds={"table"},
            metadata=metadata.of_table(name, metadata.columns_of(table), uri=f"table:{name}"),
        )
        for name, table in by_name.items()
    ]
