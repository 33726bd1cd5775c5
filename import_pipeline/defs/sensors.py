"""The sensor of a source. It launches due imports, requested ones, stalled ones and shards."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.defs.run_requests import run_requests, shard_run_requests
from import_pipeline.importer.installation import open_for
from import_pipeline.redaction import masking

#: Dagster's daemon evaluates sensors every five seconds and skips those that ticked less than this ago. With 5 a tick
#: that began a moment late would be skipped, and the interval would often be 10 seconds.
SHORTEST_INTERVAL_SECONDS = 3


def build_sensor(source: ImportSource, jobs: Sequence[Any]) -> dg.SensorDefinition:
    """Return the sensor, which ticks every few seconds and launches `jobs`."""

    @dg.sensor(
        name=names.sensor(source.name),
        jobs=jobs,
        minimum_interval_seconds=SHORTEST_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Every few seconds: schedules the next slot of {source.name}, starts due and requested imports, resumes "
            "stalled imports, cancels missed slots. Each tick gives its decision and the reason."
        ),
    )
    def evaluate(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        instance = context.instance
        states = schedule_states(instance).get(names.schedule(source.name), [])
        with masking(), open_for(source, often=True) as opened:  # opened once: that is the slowest part of a tick
            requests = [
                *run_requests(*opened, context, schedule_is_on=schedule_is_on(states), on_since=switched_on_at(states)),
                *shard_run_requests(*opened, instance),
            ]
        launches = [each for each in requests if isinstance(each, dg.RunRequest)]
        yield from launches or requests

    return evaluate


def schedule_is_on(states: Sequence[Any]) -> bool:
    """Return False if a person stopped the schedule in the UI. A schedule that was never touched is on."""
    return all(state.status.value != "STOPPED" for state in states)


def switched_on_at(states: Sequence[Any]) -> datetime | None:
    """Return when a person last switched the schedule on; None if it was never touched."""
    begun = [
        float(start)
        for state in states
        if (start := getattr(state.instigator_data, "start_timestamp", None)) is not None
    ]
    return datetime.fromtimestamp(max(begun), UTC) if begun else None


def schedule_states(instance: dg.DagsterInstance) -> dict[str, list[Any]]:
    """Return the stored states of all schedules by their names. Reading one costs as much."""
    found: dict[str, list[Any]] = {}
    for state in instance.all_instigator_state():
        if state.instigator_type.value == "SCHEDULE":
            found.setdefault(state.instigator_name, []).append(state)
    return found
