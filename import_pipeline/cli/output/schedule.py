"""The schedule of a source as `schedule` prints it: its next slots, its ticks, and its open imports."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from import_pipeline.cli.output.formatting import DAEMONS, distance, moment, open_console, say, status
from import_pipeline.cli.output.tables import Column, print_columns
from import_pipeline.contracts import ImportSource
from import_pipeline.importer.monitoring.view import ImportView

SCHEDULE_COLUMNS = (
    Column(name="id", worth=4, is_number=True),
    Column(name="status", worth=3),
    Column(name="started by", worth=0),
    Column(name="scheduled for", worth=2),
    Column(name="slot", worth=1),
)


@dataclass(frozen=True, kw_only=True)
class Ticks:
    """Signs of what serves the slots of a source."""

    off_since: datetime | None  #: the schedule has been off since then; None: it is on
    last: datetime | None  #: the latest sign of a tick of the sensor or of `start-scheduled`
    unserved_slot: datetime | None  #: the latest slot, if no tick has followed it


def print_schedule(
    source: ImportSource, coming: Sequence[datetime], views: Sequence[ImportView], ticks: Ticks, now: datetime
) -> None:
    """Print the schedule of a source and its open imports."""
    console = open_console()
    say(console, f"{source.name} is due at {source.timetable}.")
    if ticks.off_since is None:
        say(console, f"Next slots: {', '.join(f'{moment(slot)} ({distance(slot - now)})' for slot in coming)}.")
    if (sentence := _sentence(source.name, ticks)) is not None:
        say(console, sentence)
    if not views:
        if ticks.off_since is None:
            say(console, "No import is scheduled.")
        return
    rows = [
        [
            str(view.row.id),
            status(view.display_status),
            view.row.trigger.value,
            moment(view.row.scheduled_at),
            moment(view.row.slot_at),
        ]
        for view in views
    ]
    print_columns(console, SCHEDULE_COLUMNS, rows)


def _sentence(source: str, ticks: Ticks) -> str | None:
    """Return what keeps slots from starting imports; None if nothing is known to."""
    if ticks.off_since is not None:
        return (
            f"The schedule is off, seen since {moment(ticks.off_since)}: no slot starts an import, but requests run. "
            "Switch it on in Dagster's UI (Automation)."
        )
    by_hand = f"`import-pipeline start-scheduled {source}`"
    if ticks.last is None:
        return f"No tick was seen yet: slots start imports while a Dagster daemon runs ({DAEMONS}), or by {by_hand}."
    if ticks.unserved_slot is None:
        return None
    return (
        f"No tick was seen since {moment(ticks.last)}: nothing followed the slot of {moment(ticks.unserved_slot)}. "
        f"Start a Dagster daemon ({DAEMONS}), or run {by_hand}."
    )
