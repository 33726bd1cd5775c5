"""Observations of a running import: how far it is, on the asset that it fills.

On no asset without partitions: there an observation would break the lines that Dagster draws over imports.
"""

from collections.abc import Iterator

import dagster as dg

from import_pipeline.defs import metadata, names
from import_pipeline.errors import Unavailable
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.limiter_usage import UsageReader
from import_pipeline.importer.monitoring.queries import import_progress

#: A person who watches sees it move; a thousand of them are no burden.
OBSERVE_SECONDS = 5.0


def observations(installation: Installation, gauges: UsageReader, import_id: int) -> Iterator[dg.AssetObservation]:
    """How far the import is now; nothing where the stores do not answer, or before the first item is done."""
    try:
        view, outlook = import_progress(installation, import_id, gauges)
    except Unavailable:
        return
    if view.is_running and view.done:
        figures = metadata.of_progress(view, outlook)
        total = "?" if view.row.items_count is None else view.row.items_count
        yield dg.AssetObservation(
            asset_key=names.enriched(view.row.source),
            description=f"Import {import_id}: {view.done} of {total} items",
            metadata=figures,
        )
