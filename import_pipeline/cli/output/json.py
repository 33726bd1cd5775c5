"""JSON objects that the commands print for programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from import_pipeline.cli.output.schedule import Ticks
from import_pipeline.cli.output.tables import Event
from import_pipeline.contracts import ImportSource
from import_pipeline.importer.monitoring.view import ImportView, common_json
from import_pipeline.rules.status import OVERDUE, SCHEDULE_OFF
from import_pipeline.tracking.items import FailedItem
from import_pipeline.tracking.lists.slices import FailedSlice
from import_pipeline.tracking.shards import ShardRow
from import_pipeline.wording import iso


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on a line of its own."""
    click.echo(json.dumps(value))


def print_message(sentence: str, as_json: bool, **values: Any) -> None:
    """Print the sentence; with `--json` an object that has it as `message`, beside the values."""
    if as_json:
        print_json({"message": sentence, **values})
    else:
        click.echo(sentence)


def import_json(view: ImportView) -> dict[str, Any]:
    """Return an import as `list --json` prints it."""
    return common_json(view) | {
        "overdue": view.status == OVERDUE,
        "schedule_is_off": view.status == SCHEDULE_OFF,
        "has_no_worker": view.has_no_worker,
    }


def import_details_json(
    view: ImportView,
    failed: Sequence[FailedItem],
    happened: Sequence[Event],
    workers: Sequence[ShardRow],
    unread: Sequence[FailedSlice],
) -> dict[str, Any]:
    """Return an import as `show --json` prints it."""
    row = view.row
    return common_json(view) | {
        "heartbeat_at": iso(row.heartbeat_at),
        "has_no_worker": view.has_no_worker,
        "blocked_until": iso(row.blocked_until),
        "dagster_run_id": row.dagster_run_id,
        "resumes": row.resumes,
        "shards": [
            {
                "number": each.number,
                "host": each.host,
                "pid": each.pid,
                "dagster_run_id": each.dagster_run_id,
                "heartbeat_at": iso(each.heartbeat_at),
                "ended_at": iso(each.ended_at),
                "requests_count": each.requests_count,
            }
            for each in workers
        ],
        "failures": [
            asdict(item)
            | {
                "last_failed_at": iso(item.last_failed_at),
                "next_attempt_at": None if view.has_ended else iso(item.next_attempt_at),
            }
            for item in failed
        ],
        "failed_slices": [
            asdict(each) | {"next_attempt_at": None if view.has_ended else iso(each.next_attempt_at)} for each in unread
        ],
        "events": [{"at": iso(at), "action": action, "message": message} for at, action, message in happened],
    }


def schedule_json(
    source: ImportSource, coming: Sequence[datetime], views: Sequence[ImportView], ticks: Ticks
) -> dict[str, Any]:
    """Return slots and open imports as `schedule --json` prints them; no next slots while the schedule is off."""
    return {
        "source": source.name,
        "slots": source.slots,
        "time_zone": source.time_zone,
        "schedule_is_off": ticks.off_since is not None,
        "off_since": iso(ticks.off_since),
        "last_tick": iso(ticks.last),
        "unserved_slot": iso(ticks.unserved_slot),
        "next_slots": [] if ticks.off_since else [slot.isoformat() for slot in coming],
        "imports": [
            {
                "import_id": view.row.id,
                "status": view.row.status.value,
                "overdue": view.status == OVERDUE,
                "schedule_is_off": view.status == SCHEDULE_OFF,
                "has_no_worker": view.has_no_worker,
                "trigger": view.row.trigger.value,
                "scheduled_at": iso(view.row.scheduled_at),
                "slot_at": iso(view.row.slot_at),
            }
            for view in views
        ],
    }
