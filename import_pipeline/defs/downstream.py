"""Materialize your own assets after each completed import.

Dagster's declarative automation watches partitions. Those of items are materialized while an import still runs, even
if it fails or is cancelled later. Only the tracking tables know when an import has completed, so the sensor reads
them. It also sees imports that ran outside of Dagster.
"""

from collections.abc import Sequence

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.importer.installation import open_for
from import_pipeline.rules.completions import CompletionCursor, unprocessed
from import_pipeline.tracking.completions import completed_since

#: Seconds between two ticks of the sensor. Each costs a query, and downstream assets are not urgent.
INTERVAL_SECONDS = 10


def build_downstream_sensor(source: ImportSource, *assets: dg.AssetsDefinition) -> dg.SensorDefinition:
    """Return a sensor that materializes `assets` after each completed import of `source`.

    Failed and cancelled imports start nothing. Imports that complete between two ticks share one run; its tag
    `completed_imports` lists their ids (read it with `completed_imports()`). On its first tick the sensor treats all
    earlier imports as one.
    """

    @dg.sensor(
        name=names.downstream_sensor(source.name),
        target=list(assets),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Materializes the assets made from {source.name} after each completed import.",
    )
    def follow(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        followed = CompletionCursor.read(context.cursor)
        with open_for(source) as (installation, _), installation.database.read() as connection:
            ended = completed_since(connection, source.name, followed.since)
        new = [str(one.import_id) for one in unprocessed(ended, followed)]
        if not new:
            return dg.SkipReason(f"No import of {source.name} has completed since the last tick.")
        request = dg.RunRequest(
            run_key=f"after {source.name} {' '.join(new)}", tags={names.COMPLETED_TAG: ",".join(new)}
        )
        return dg.SensorResult(run_requests=[request], cursor=followed.after(ended).dump())

    return follow


def completed_imports(context: dg.AssetExecutionContext) -> Sequence[int]:
    """Return the ids of the imports that the run follows. Empty if a person launched it: process everything."""
    tag = context.run.tags.get(names.COMPLETED_TAG, "")
    return [int(part) for part in tag.split(",") if part]
