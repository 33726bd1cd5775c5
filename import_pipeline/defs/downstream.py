"""What comes after an import: a sensor that materializes your assets when imports have completed.

Dagster's declarative automation looks at partitions, and those of items are materialized while an import goes on, even
where it fails or is cancelled later. An import's end is known to the tracking tables alone. So the sensor looks there,
and sees the ends of imports that ran outside of Dagster, too.
"""

from collections.abc import Sequence

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.importer.installation import open_for
from import_pipeline.rules.completions import CompletionCursor, unprocessed
from import_pipeline.tracking.completions import completed_since

#: How often the sensor looks. What comes after an import is not urgent, and every look costs a query.
INTERVAL_SECONDS = 10


def build_downstream_sensor(source: ImportSource, *assets: dg.AssetsDefinition) -> dg.SensorDefinition:
    """Materializes the assets after each completed import of the source; after failed and cancelled ones it does not.

    Imports that complete between two looks share one run. Its tag `completed_imports` names them (`completed_imports()`
    reads it). On a first look everything that was imported before counts as one import.
    """

    @dg.sensor(
        name=names.downstream_sensor(source.name),
        target=list(assets),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"After each completed import of {source.name}: materializes what is made of it.",
    )
    def follow(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        followed = CompletionCursor.read(context.cursor)
        with open_for(source) as (installation, _), installation.database.read() as connection:
            ended = completed_since(connection, source.name, followed.since)
        new = [str(one.import_id) for one in unprocessed(ended, followed)]
        if not new:
            return dg.SkipReason(f"No import of {source.name} has completed since the last look.")
        request = dg.RunRequest(
            run_key=f"after {source.name} {' '.join(new)}", tags={names.COMPLETED_TAG: ",".join(new)}
        )
        return dg.SensorResult(run_requests=[request], cursor=followed.after(ended).dump())

    return follow


def completed_imports(context: dg.AssetExecutionContext) -> Sequence[int]:
    """The completed imports that the run follows; none where a person has launched it: everything is meant then."""
    tag = context.run.tags.get(names.COMPLETED_TAG, "")
    return [int(part) for part in tag.split(",") if part]
