"""Commands that control imports: request, cancel, retry, delete, prune."""

import getpass
from collections.abc import Callable
from datetime import timedelta

import click

from import_pipeline.cli.doctor_checks import daemon_problem
from import_pipeline.cli.options import as_json, confirm, fresh, full, import_id, reason, refetch, source_argument, yes
from import_pipeline.cli.output.formatting import DAEMONS
from import_pipeline.cli.output.json import print_json, print_message, schedule_json
from import_pipeline.cli.output.schedule import Ticks, print_schedule
from import_pipeline.cli.run_in_foreground import (
    print_failure_reason,
    print_outcome,
    run_job,
    terminated_like_interrupted,
)
from import_pipeline.errors import ImportNotFound
from import_pipeline.importer.control import cancellation, deletion, requests, retries
from import_pipeline.importer.control import finalize as finalization
from import_pipeline.importer.control.pauses import lift_pause
from import_pipeline.importer.control.rescheduling import RecordedRequest, parse_slot
from import_pipeline.importer.control.scheduling import is_off_now, tick, upcoming_slots_of
from import_pipeline.importer.installation import Installation, open_installation
from import_pipeline.importer.lifecycle.notifications import send_notices
from import_pipeline.importer.monitoring.queries import view_in
from import_pipeline.rules.slots import unserved_slot
from import_pipeline.rules.status import UNENDED, ImportStatus
from import_pipeline.settings.parsers import MOST_WORKERS
from import_pipeline.tracking import imports, schedules
from import_pipeline.tracking.requests import RequestKind
from import_pipeline.wording import plural, sentence

SLOTS_SHOWN = 3


def user_name() -> str:
    """Return the user's name on this system."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "a user without a name"


def _next(installation: Installation, source: str, promise: str) -> str:
    """Return what happens next as the end of a sentence: the promise if a daemon runs, else how to start the import."""
    problem = daemon_problem(installation.settings)
    if problem is None:
        return f": {promise}."
    return f". {sentence(problem)} Start one ({DAEMONS}), or run `import-pipeline start-scheduled {source}`."


def _print_request(
    installation: Installation, source: str, asked: RecordedRequest, promise: str, as_json: bool
) -> None:
    """Print the outcome of a request: recorded, or already recorded earlier."""
    text = asked.already or f"Request {asked.id} recorded{_next(installation, source, promise)}"
    slot_at = asked.slot_at.isoformat() if asked.slot_at else None
    print_message(text, as_json, request_id=asked.id, wish=asked.id, slot_at=slot_at, already=asked.already is not None)


@click.command()
@source_argument()
@full
@fresh
@refetch
@click.option("--shards", type=click.IntRange(1, MOST_WORKERS), help="How many runs share it. Default: ITEMS_SHARDS.")
@reason
@yes
@as_json
def request(
    source: str,
    full: bool,
    fresh: bool,
    refetch: bool,
    shards: int | None,
    reason: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Request an extra import of SOURCE; the schedule stays unchanged.

    It starts within seconds while `import-pipeline up` or another Dagster daemon runs; otherwise run
    `import-pipeline start-scheduled SOURCE`.
    """
    with open_installation() as installation:
        found = installation.source(source)
        if fresh and not yes:
            confirm(f"Import all of {source} again, then delete its rows that are no longer in the list?")
        asked = requests.request_import(
            installation,
            found,
            RequestKind.NEW,
            full=full,
            fresh=fresh,
            refetch=refetch,
            shards=shards,
            by=user_name(),
            reason=reason,
        )
        _print_request(installation, source, asked, f"the sensor starts an import of {source} within seconds", as_json)


@click.command()
@source_argument()
@click.option("--slot", help="The slot to move, as `schedule --json` prints it; default: the next one.")
@reason
@as_json
def reschedule(source: str, slot: str | None, reason: str | None, as_json: bool) -> None:
    """Start the next scheduled import of SOURCE now. It uses up its slot; later slots stay.

    It starts within seconds while `import-pipeline up` or another Dagster daemon runs; otherwise run
    `import-pipeline start-scheduled SOURCE`.
    """
    with open_installation() as installation:
        found = installation.source(source)
        meant = parse_slot(slot)
        asked = requests.request_import(
            installation, found, RequestKind.RESCHEDULE, slot_at=meant, by=user_name(), reason=reason
        )
        _print_request(installation, source, asked, "the sensor starts the next import within seconds", as_json)


@click.command()
@source_argument()
@as_json
def schedule(source: str, as_json: bool) -> None:
    """Show the schedule of SOURCE: its next slots, a slot that nothing has followed, and its open imports."""
    with open_installation() as installation:
        found = installation.source_to_read(source)
        now = installation.clock.now()
        with installation.database.read() as connection:
            rows = imports.latest(connection, source=source, statuses=UNENDED, limit=100)
            views = [view_in(connection, installation, row, now) for row in rows]
            coming = upcoming_slots_of(connection, found, now, SLOTS_SHOWN)
            last = schedules.last_tick(connection, source)
            off_since = schedules.off_since(connection, source)
        ticks = Ticks(off_since=off_since, last=last, unserved_slot=unserved_slot(found.timetable, last, now))
        if as_json:
            print_json(schedule_json(found, coming, views, ticks))
        else:
            print_schedule(found, coming, views, ticks, now)


@click.command("start-scheduled")
@source_argument()
@as_json
@terminated_like_interrupted()
def start_scheduled(source: str, as_json: bool) -> int:
    """Apply the scheduling rules to SOURCE once and run what is due in this process. For cron, without a sensor.

    If the schedule is off in Dagster, only requested imports run.
    """
    with open_installation() as installation:
        found = installation.source(source)
        is_off = is_off_now(installation, found)
        result = tick(installation, found, schedule_is_on=not is_off, has_seen_schedule=not is_off)
        cancellation.end_cancelled(installation, source)
        if not as_json:
            click.echo(" ".join(result.sentences))
        summaries = []
        for launch in result.launches:
            with installation.database.read() as connection:
                row = imports.get(connection, launch.import_id)
            summaries.append(run_job(installation, found, row, show=not as_json, is_ours=False))
            if not as_json:
                print_outcome(installation, summaries[-1])
            print_failure_reason(summaries[-1])
        send_notices(installation, found)
        if as_json:
            print_message(" ".join(result.sentences), as_json, imports=[summary.as_json() for summary in summaries])
    return max((summary.exit_status for summary in summaries), default=0)


@click.command()
@source_argument()
@as_json
def resume(source: str, as_json: bool) -> None:
    """Lift the pause of SOURCE's API for all processes: if it is too long, or no longer needed."""
    with open_installation() as installation:
        lifted = lift_pause(installation, installation.source_to_read(source), by=user_name())
        text = f"{lifted.api} is not paused."
        if lifted.paused_until is not None:
            until = f"{lifted.paused_until:%Y-%m-%d %H:%M:%S} UTC"
            text = f"Lifted the pause of {lifted.api} until {until}. One request goes first, as a probe."
        values = {
            "source": source,
            "api": lifted.api,
            "paused_until": lifted.paused_until and lifted.paused_until.isoformat(),
            "import_ids": list(lifted.imports),
            "already": lifted.paused_until is None,
        }
        print_message(text, as_json, **values)


def _ask_about(installation: Installation, import_id: int, question: str, check: Callable[..., None]) -> None:
    """Ask, unless nothing can be done (`check` raises the reason) or the import is already cancelled."""
    with installation.database.read() as connection:
        try:
            row = imports.get(connection, import_id)
        except ImportNotFound:
            return
        check(connection, row, installation.clock.now())
    if row.status is not ImportStatus.CANCELLED or check is not cancellation.check_cancel:
        confirm(question)


@click.command()
@import_id
@reason
@yes
@as_json
def cancel(import_id: int, reason: str | None, yes: bool, as_json: bool) -> None:
    """Cancel the scheduled or running import with this ID. Imported items are kept."""
    with open_installation() as installation:
        if not yes:
            _ask_about(installation, import_id, f"Cancel import {import_id}?", cancellation.check_cancel)
        done = cancellation.cancel(installation, import_id, by=user_name(), reason=reason)
        print_message(done.sentence, as_json, import_id=import_id, already=done.already)


@click.command()
@import_id
@reason
@as_json
def retry(import_id: int, reason: str | None, as_json: bool) -> None:
    """Import what the import with this ID left: failed and unfinished items, and slices that were not read whole.

    It starts within seconds while `import-pipeline up` or another Dagster daemon runs; otherwise run
    `import-pipeline start-scheduled SOURCE`.
    """
    with open_installation() as installation:
        retried = retries.retry(installation, import_id, by=user_name(), reason=reason)
        made = retried.row
        then = _next(installation, made.source, "the sensor starts it within seconds")
        text = retried.already or f"Import {made.id} retries import {import_id}{then}"
        print_message(text, as_json, import_id=made.id, already=retried.already is not None)


@click.command()
@import_id
@reason
@yes
@as_json
def delete(import_id: int, reason: str | None, yes: bool, as_json: bool) -> None:
    """Delete the ended import with this ID, its item rows and its events. Imported rows stay."""
    with open_installation() as installation:
        if not yes:
            question = f"Delete import {import_id} with all its item rows and events?"
            _ask_about(installation, import_id, question, deletion.check_delete)
        done = deletion.delete(installation, import_id, by=user_name(), reason=reason)
        print_message(done.sentence, as_json, import_id=import_id, already=done.already)


@click.command()
@import_id
@click.option("--mark-gone", is_flag=True, help="Mark items that were missing from its list as removed, however many.")
@as_json
def finalize(import_id: int, mark_gone: bool, as_json: bool) -> int:
    """Finish the import with this ID if its worker died and nothing is left to do; else exit with status 4."""
    with open_installation() as installation:
        if mark_gone:
            gone = finalization.confirm_removed(installation, import_id)
            text = f"Marked {plural(gone, 'item')} as removed." if gone else "No item is left to mark as removed."
            print_message(text, as_json, import_id=import_id, already=not gone)
            return 0
        done = finalization.finalize(installation, import_id)
        print_message(done.sentence, as_json, import_id=import_id, already=done.already)
        return 0 if done.ended else 4


@click.command()
@click.option("--days", type=click.IntRange(0), required=True, help="Minimum age of the ended imports, in days.")
@yes
@as_json
def prune(days: int, yes: bool, as_json: bool) -> None:
    """Delete the item rows of old imports, except failed items. Import rows and imported data stay.

    Also deletes Dagster events of that age that a later import of the item replaced.
    """
    if not yes:
        confirm(f"Delete the item rows of imports that ended over {plural(days, 'day')} ago?")
    # Imported here, because Dagster takes a second.
    from import_pipeline.defs.storage.event_retention import drop_superseded_of

    with open_installation() as installation:
        dropped = deletion.prune(installation, days)
        before = installation.clock.now() - timedelta(days=days)
        sources = [installation.listed(name) or name for name in deletion.sources_with_imports(installation)]
        events = drop_superseded_of(installation.settings, sources, before)
        kept = deletion.kept_rows(installation, days)
        ids = ", ".join(map(str, kept))
        why = f" Kept those of import {ids}: an unfinished retry needs them." if kept else ""
        more = f" Deleted {plural(events, 'replaced event')} of Dagster." if events else ""
        text = f"Deleted {plural(dropped, 'item row')}.{more}{why}"
        print_message(text, as_json, dropped=dropped, kept=kept, events=events)
