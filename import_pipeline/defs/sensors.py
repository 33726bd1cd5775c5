"""The schedule and the sensor of a source. Both apply the same rules; who claims an import first asks for its run."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.defs.run_status import asked_of, fate_of, is_queued, report_dead_run
from import_pipeline.defs.storage.event_retention import drop_by_age
from import_pipeline.importer.control.pruning import prune_by_age
from import_pipeline.importer.control.scheduling import Tick, tick
from import_pipeline.importer.control.shard_supervisor import supervise_shards
from import_pipeline.importer.control.unlisted import end_cancelled
from import_pipeline.importer.installation import Installation, open_for
from import_pipeline.importer.lifecycle.notifications import send_notices
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
                *_launches(*opened, context, schedule_is_on=_are_on(states), on_since=_since(states)),
                *_shard_launches(*opened, instance),
            ]
        launches = [each for each in requests if isinstance(each, dg.RunRequest)]
        yield from launches or requests

    return look


def _launches(
    installation: Installation,
    source: ImportSource,
    context: dg.ScheduleEvaluationContext | dg.SensorEvaluationContext,
    *,
    schedule_is_on: bool,
    on_since: datetime | None = None,
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Apply the rules: a run request per import to start or to go on with, else the reasons why there is none.

    A tick that asks for runs shows no reason in the UI, hence its log; one that asks for none would fill the disk.
    """
    instance = context.instance
    result = tick(
        installation,
        source,
        schedule_is_on=schedule_is_on,
        on_since=on_since,
        fate_of=lambda run_id: fate_of(instance, run_id),
        asked=lambda import_id, since: asked_of(instance, names.job(source.name), import_id, since),
    )
    result.dead_run_ids += end_cancelled(installation, source.name)
    if not result.launches:  # no import waits for it
        send_notices(installation, source)
        prune_by_age(installation, source)
        drop_by_age(instance, source, installation.clock.now())
    _report_dead(instance, result)
    if result.launches:
        for sentence in result.sentences:
            context.log.info(sentence)
    for launch in result.launches:
        yield dg.RunRequest(job_name=names.job(source.name), tags={names.IMPORT_ID_TAG: str(launch.import_id)})
    if not result.launches:
        yield dg.SkipReason(" ".join(result.sentences))


def _shard_launches(
    installation: Installation, source: ImportSource, instance: dg.DagsterInstance
) -> Iterator[dg.RunRequest]:
    """A run request per shard that is to begin, or to begin again."""
    result = supervise_shards(
        installation, source, lambda import_id, number: is_queued(instance, _shard_tags(import_id, number))
    )
    for run_id in result.dead_run_ids:
        report_dead_run(instance, run_id, "Its worker is gone; other runs do what it held.")
    for launch in result.launches:
        yield dg.RunRequest(job_name=names.shard_job(source.name), tags=_shard_tags(launch.import_id, launch.number))


def _shard_tags(import_id: int, number: int) -> dict[str, str]:
    return {names.IMPORT_ID_TAG: str(import_id), names.IMPORT_SHARD_TAG: str(number)}


def _report_dead(instance: dg.DagsterInstance, result: Tick) -> None:
    """Runs without a worker hold their place in the queue until they are reported as failed."""
    for launch in result.launches:
        if launch.dead_run_id:
            report_dead_run(instance, launch.dead_run_id, launch.reason)
    for run_id in result.dead_run_ids:
        report_dead_run(instance, run_id, "Its worker is gone, and its import has ended.")


def _are_on(states: Sequence[Any]) -> bool:
    """Return if nobody has stopped the schedule in the UI; one that was never touched runs."""
    return all(state.status.value != "STOPPED" for state in states)


def _since(states: Sequence[Any]) -> datetime | None:
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
