"""The schedule and the sensor of a source. Both apply the same rules; who claims an import first asks for its run."""

from collections.abc import Iterator, Sequence

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.defs.runs import fate_of, report_dead_run
from import_pipeline.importer.installation import open_for
from import_pipeline.importer.notify import tell_people
from import_pipeline.importer.schedule import Tick, tick
from import_pipeline.importer.upkeep import prune_by_age
from import_pipeline.redaction import masking
from import_pipeline.rules.slots import Slots

#: How often the sensor looks: as often as Dagster's daemon does.
SENSOR_SECONDS = 5
#: The daemon passes over a sensor whose last tick began a moment less than this ago, so that 5 would often mean 10.
SHORTEST_INTERVAL_SECONDS = 3


def build_schedule(source: ImportSource) -> dg.ScheduleDefinition:
    """Ticks at the slots of the source's time zone."""

    @dg.schedule(
        name=names.schedule(source.name),
        job_name=names.job(source.name),
        cron_schedule=crons(source.timetable),
        execution_timezone=source.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            f"Imports {source.name} at {source.slots} ({source.time_zone}). Of several missed slots only the latest "
            "runs. Stop it to stop the slots; what people ask for goes on."
        ),
    )
    def at_the_slots(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        yield from _launches(source, context.instance, schedule_is_on=True)

    return at_the_slots


def build_sensor(source: ImportSource) -> dg.SensorDefinition:
    """Looks every few seconds: due slots, wishes, imports whose worker is gone."""

    @dg.sensor(
        name=names.sensor(source.name),
        job_name=names.job(source.name),
        minimum_interval_seconds=SHORTEST_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Every {SENSOR_SECONDS} s: fills the next slot of {source.name}, starts what is due or asked for, goes "
            "on with imports whose worker is gone, cancels missed slots. Each tick says what it decided and why."
        ),
    )
    def look(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        instance = context.instance
        yield from _launches(source, instance, schedule_is_on=schedule_is_on(instance, names.schedule(source.name)))

    return look


def _launches(
    declared: ImportSource, instance: dg.DagsterInstance, *, schedule_is_on: bool
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Apply the rules: a run request per import to start or to go on with, else the reasons why there is none."""
    with masking(), open_for(declared) as (installation, source):
        result = tick(
            installation, source, schedule_is_on=schedule_is_on, fate_of=lambda run_id: fate_of(instance, run_id)
        )
        if not result.launches:  # no import waits for it
            tell_people(installation, source)
            prune_by_age(installation, source)
    _report_dead(instance, result)
    for launch in result.launches:
        yield dg.RunRequest(tags={names.IMPORT_ID_TAG: str(launch.import_id)})
    if not result.launches:
        yield dg.SkipReason(" ".join(result.sentences))


def _report_dead(instance: dg.DagsterInstance, result: Tick) -> None:
    """Runs without a worker hold their place in the queue until they are reported as failed."""
    for launch in result.launches:
        if launch.dead_run_id:
            report_dead_run(instance, launch.dead_run_id, launch.reason)
    for run_id in result.dead_run_ids:
        report_dead_run(instance, run_id, "Its worker is gone, and its import has ended.")


def schedule_is_on(instance: dg.DagsterInstance, name: str) -> bool:
    """Whether nobody has stopped the schedule in the UI; one that was never touched runs."""
    states = [
        state
        for state in instance.all_instigator_state()
        if state.instigator_type.value == "SCHEDULE" and state.instigator_name == name
    ]
    return all(state.status.value != "STOPPED" for state in states)


def crons(slots: Slots) -> Sequence[str]:
    """The slots as cron lines, one per minute of the hour.

    Changes of the clocks are seen to by the rules, whatever a line makes of them.
    """
    minutes = sorted({at.minute for at in slots.times})
    hours = {minute: ",".join(str(at.hour) for at in slots.times if at.minute == minute) for minute in minutes}
    return [f"{minute} {hours[minute]} * * *" for minute in minutes]
