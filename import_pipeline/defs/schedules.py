"""The Dagster schedule of a source: its slots as cron lines."""

from collections.abc import Iterator, Sequence

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.defs.run_requests import run_requests
from import_pipeline.importer.installation import open_for
from import_pipeline.redaction import masking
from import_pipeline.rules.slots import Slots


def build_schedule(source: ImportSource) -> dg.ScheduleDefinition:
    """Return the schedule that ticks at the slots, in the source's time zone."""

    @dg.schedule(
        name=names.schedule(source.name),
        job_name=names.job(source.name),
        cron_schedule=crons(source.timetable),
        execution_timezone=source.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            f"Imports {source.name} at {source.timetable}. Of several missed slots only the latest runs. "
            "While it is stopped, no slot starts an import; requested imports still run."
        ),
    )
    def at_the_slots(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        with masking(), open_for(source) as opened:
            requests = list(run_requests(*opened, context, schedule_is_on=True))
        yield from requests

    return at_the_slots


def crons(slots: Slots) -> str | Sequence[str]:
    """Return the slots as a cron line, or as several lines if their minutes differ.

    The scheduling rules handle changes to and from summer time, whatever cron makes of them.
    """
    minutes = sorted({at.minute for at in slots.times})
    hours = {minute: ",".join(str(at.hour) for at in slots.times if at.minute == minute) for minute in minutes}
    lines = [f"{minute} {hours[minute]} * * *" for minute in minutes]
    return lines[0] if len(lines) == 1 else lines
