"""The schedule of a source on the screen."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from import_pipeline.cli.columns import Column, print_columns
from import_pipeline.cli.screen import moment, open_console, say, standing
from import_pipeline.contracts import ImportSource
from import_pipeline.importer.monitor import ImportView
from import_pipeline.rules.status import OVERDUE

COLUMNS = (
    Column(name="id", worth=4, is_number=True),
    Column(name="status", worth=3),
    Column(name="started by", worth=0),
    Column(name="scheduled for", worth=2),
    Column(name="slot", worth=1),
)


def as_json(source: ImportSource, coming: Sequence[datetime], views: Sequence[ImportView]) -> dict[str, Any]:
    """Slots and open imports as plain values."""
    return {
        "source": source.name,
        "slots": source.slots,
        "time_zone": source.time_zone,
        "next_slots": [slot.isoformat() for slot in coming],
        "imports": [
            {
                "import_id": view.row.id,
                "status": view.row.status.value,
                "overdue": view.status == OVERDUE,
                "has_no_worker": view.has_no_worker,
                "trigger": view.row.trigger.value,
                "scheduled_at": view.row.scheduled_at.isoformat() if view.row.scheduled_at else None,
                "slot_at": view.row.slot_at.isoformat() if view.row.slot_at else None,
            }
            for view in views
        ],
    }


def show(source: ImportSource, coming: Sequence[datetime], views: Sequence[ImportView], now: datetime) -> None:
    """For people."""
    console = open_console()
    say(console, f"{source.name} is due at {source.timetable}.")
    say(console, f"The next slots: {', '.join(f'{moment(slot)} ({distance(slot - now)})' for slot in coming)}.")
    if not views:
        say(
            console,
            "No import is scheduled yet: the sensor does that while `import-pipeline up` or `dagster dev` runs.",
        )
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
