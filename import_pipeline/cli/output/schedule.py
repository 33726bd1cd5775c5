"""The schedule of a source on the screen."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from import_pipeline.cli.output.columns import Column, print_columns
from import_pipeline.cli.output.formatting import moment, open_console, say, standing
from import_pipeline.contracts import ImportSource
from import_pipeline.importer.monitoring.view import ImportView
from import_pipeline.rules.status import OVERDUE, SCHEDULE_OFF

COLUMNS = (
    Column(name="id", worth=4, is_number=True),
    Column(name="status", worth=3),
    Column(name="started by", worth=0),
    Column(name="scheduled for", worth=2),
    Column(name="slot", worth=1),
)


def as_json(
    source: ImportSource, coming: Sequence[datetime], views: Sequence[ImportView], off_since: datetime | None
) -> dict[str, Any]:
    """Slots and open imports as plain values; no next slots while the schedule is off."""
    return {
        "source": source.name,
        "slots": source.slots,
        "time_zone": source.time_zone,
        "schedule_is_off": off_since is not None,
        "off_since": off_since.isoformat() if off_since else None,
        "next_slots": [] if off_since else [slot.isoformat() for slot in coming],
        "imports": [
            {
                "import_id": view.row.id,
                "status": view.row.status.value,
                "overdue": view.status == OVERDUE,
                "schedule_is_off": view.status == SCHEDULE_OFF,
                "has_no_worker": view.has_no_worker,
                "trigger": view.row.trigger.value,
                "scheduled_at": view.row.scheduled_at.isoformat() if view.row.scheduled_at else None,
                "slot_at": view.row.slot_at.isoformat() if view.row.slot_at else None,
            }
            for view in views
        ],
    }


def show(
    source: ImportSource,
    coming: Sequence[datetime],
    views: Sequence[ImportView],
    off_since: datetime | None,
    now: datetime,
) -> None:
    """For people."""
    console = open_console()
    say(console, f"{source.name} is due at {source.timetable}.")
    if off_since is not None:
        say(
            console,
            f"The schedule is off, as seen since {moment(off_since)}: no slot starts an import. Switch it on in "
            "Dagster's UI (Automation). Requests are carried out.",
        )
    else:
        say(console, f"The next slots: {', '.join(f'{moment(slot)} ({distance(slot - now)})' for slot in coming)}.")
    if not views and off_since is None:
        say(
            console,
            "No import is scheduled yet: the sensor does that while `import-pipeline up` or `dagster dev` runs.",
        )
    if not views:
        return
    rows = [
        [
            str(view.row.id),
            standing(view),
            view.row.trigger.value,
            moment(view.row.scheduled_at),
            moment(view.row.slot_at),
        ]
        for view in views
    ]
    print_columns(console, COLUMNS, rows)


def distance(ahead: timedelta) -> str:
    """`in 2 h 05 min`, `3 min ago`."""
    minutes = round(abs(ahead.total_seconds()) / 60)
    text = f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
    return f"in {text}" if ahead >= timedelta(0) else f"{text} ago"
