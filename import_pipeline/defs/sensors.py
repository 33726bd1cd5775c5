"""The schedule and the sensor of a source. Both apply the same rules; who claims an import first asks for its run."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.defs.run_requests import run_requests, shard_run_requests
from import_pipeline.importer.installation import open_for
from import_pipeline.redaction import masking

#: The sensor looks as often as Dagster's daemon does, every five seconds. The daemon passes over one whose last tick
#: began a moment less than this ago, so that 5 would often mean 10.
SHORTEST_INTERVAL_SECONDS = 3


def build_sensor(source: ImportSource, jobs: Sequence[Any]) -> dg.SensorDefinition:
    """Looks every few seconds: due slots, wishes, imports whose worker is gone, shards. Launches those jobs."""

    @dg.sensor(
        name=names.sensor(source.name),
        jobs=jobs,
        minimum_interval_seconds=SHORTEST_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Every few seconds: fills the next slot of {source.name}, starts what is due or asked for, goes on with "
            "imports whose worker is gone, cancels missed slots. Each tick says what it decided and why."
        ),
    )
    def look(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        instance = context.instance
        states = _schedule_states(instance, names.schedule(source.name))
        with masking(), open_for(source, often=True) as opened:  # once: it takes longer than all else
            requests = [
                *run_requests(
                    *opened, context, schedule_is_on=_schedule_is_on(states), on_since=_switched_on_at(states)
                ),
                *shard_run_requests(*opened, instance),
            ]
        launches = [each for each in requests if isinstance(each, dg.RunRequest)]
        yield from launches or requests

    return look


def _schedule_is_on(states: Sequence[Any]) -> bool:
    """Return if nobody has stopped the schedule in the UI; one that was never touched runs."""
    return all(state.status.value != "STOPPED" for state in states)


def _switched_on_at(states: Sequence[Any]) -> datetime | None:
    """When a person last switched the schedule on; None if it was never touched."""
    begun = [
        float(start)
        for state in states
        if (start := getattr(state.instigator_data, "start_timestamp", None)) is not None
    ]
    return datetime.fromtimestamp(max(begun), UTC) if begun else None


def _schedule_states(instance: dg.DagsterInstance, name: str) -> list[Any]:
    return [
        state
        for state in instance.all_instigator_state()
        if state.instigator_type.value == "SCHEDULE" and state.instigator_name == name
    ]
