"""Commands that steer: ask for imports, cancel, retry, delete, and keep house."""

import getpass
from collections.abc import Callable
from datetime import timedelta

import click

from import_pipeline.cli.doctor_checks import DAEMONS, daemon_silence
from import_pipeline.cli.options import as_json, confirm, import_id, reason, yes
from import_pipeline.cli.output import tables
from import_pipeline.cli.output.json import print_json, print_message, schedule_json
from import_pipeline.cli.run_in_foreground import print_outcome, see_through, tell_failure, terminated_like_interrupted
from import_pipeline.errors import ImportNotFound
from import_pipeline.importer.control import finalize as upkeep
from import_pipeline.importer.control import pruning, requests
from import_pipeline.importer.control.pauses import lift_pause
from import_pipeline.importer.control.rescheduling import Asked, slot_of
from import_pipeline.importer.control.scheduling import is_off_now, slots_to_come, tick
from import_pipeline.importer.control.unlisted import end_cancelled
from import_pipeline.importer.installation import Installation, open_installation
from import_pipeline.importer.lifecycle.notifications import send_notices
from import_pipeline.importer.monitoring.queries import view_in
from import_pipeline.rules.status import ImportStatus
from import_pipeline.settings.parsers import MOST_WORKERS
from import_pipeline.tracking import imports, schedules
from import_pipeline.tracking.requests import RequestKind
from import_pipeline.wording import plural

SLOTS_SHOWN = 3
UNENDED = (ImportStatus.SCHEDULED, ImportStatus.RUNNING)


def _who() -> str:
    """Who gives the command, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "somebody at the command line"


def _when(installation: Installation, source: str, promise: str) -> str:
    """The promise where a daemon lives to keep it; else what a wish waits for, and what carries it out at once."""
    silent = daemon_silence(installation.settings)
    if silent is None:
        return promise
    return (
        f"{silent}, so it waits until {DAEMONS} is started; `import-pipeline start-scheduled {source}` carries it "
        "out here and now"
    )


def _tell_asked(installation: Installation, source: str, asked: Asked, promise: str, as_json: bool) -> None:
    """The outcome of a request for a run: recorded, or made by an earlier one already."""
    sentence = asked.already or f"Wish {asked.id} is written down: {_when(installation, source, promise)}."
    slot_at = asked.slot_at.isoformat() if asked.slot_at else None
    print_message(sentence, as_json, wish=asked.id, slot_at=slot_at, already=asked.already is not None)


@click.command()
@click.argument("source")
@click.option(
    "--fresh",
    is_flag=True,
    help="Fetch all anew; at the end, delete rows that the list no longer has.",
)
@click.option("--shards", type=click.IntRange(1, MOST_WORKERS), help="How many runs share it; else as the source says.")
@reason
@yes
@as_json
def request(source: str, fresh: bool, shards: int | None, reason: str | None, yes: bool, as_json: bool) -> None:
    """Ask for an extra import of SOURCE now. The sensor starts it within seconds; the schedule stays as it is."""
    with open_installation() as installation:
        found = installation.source(source)
        if fresh and not yes:
            confirm(f"Import all of {source} anew, and then delete its rows that the list no longer has?")
        asked = requests.request_run(
            installation, found, RequestKind.NEW, fresh=fresh, shards=shards, by=_who(), reason=reason
        )
        _tell_asked(installation, source, asked, f"the sensor starts an import of {source} within seconds", as_json)


@click.command()
@click.argument("source")
@click.option("--slot", help="The slot to move, as `schedule --json` prints it; else the next one.")
@reason
@as_json
def reschedule(source: str, slot: str | None, reason: str | None, as_json: bool) -> None:
    """Move the next slot's import of SOURCE to now. Its slot is spent; the one after it stays."""
    with open_installation() as installation:
        found = installation.source(source)
        meant = slot_of(slot)
        asked = requests.request_run(
            installation, found, RequestKind.RESCHEDULE, slot_at=meant, by=_who(), reason=reason
        )
        _tell_asked(installation, source, asked, "the sensor starts the next slot's import now", as_json)


@click.command()
@click.argument("source")
@as_json
def schedule(source: str, as_json: bool) -> None:
    """Show the schedule of SOURCE: its slots, and what is scheduled, running or waiting."""
    with open_installation() as installation:
        found = installation.source(source)
        now = installation.clock.now()
        with installation.database.read() as connection:
            rows = imports.latest(connection, source=source, statuses=UNENDED, limit=100)
            views = [view_in(connection, installation, row, now) for row in rows]
            coming = slots_to_come(connection, found, now, SLOTS_SHOWN)
            off_since = schedules.off_since(connection, source)
        if as_json:
            print_json(schedule_json(found, coming, views, off_since))
        else:
            tables.print_schedule(found, coming, views, off_since, now)


@click.command("start-scheduled")
@click.argument("source")
@as_json
@terminated_like_interrupted()
def start_scheduled(source: str, as_json: bool) -> int:
    """Apply the scheduling rules to SOURCE once, and carry out here what is due: for cron, where no sensor runs.

    If a sensor runs and its schedule is off, only what people asked for is carried out.
    """
    with open_installation() as installation:
        found = installation.source(source)
        is_off = is_off_now(installation, found)
        result = tick(installation, found, schedule_is_on=not is_off, has_seen_schedule=not is_off)
        end_cancelled(installation, source)
        if not as_json:
            click.echo(" ".join(result.sentences))
        summaries = []
        for launch in result.launches:
            with installation.database.read() as connection:
                row = imports.get(connection, launch.import_id)
            summaries.append(see_through(installation, found, row, show=not as_json, is_ours=False))
            if not as_json:
                print_outcome(installation, summaries[-1])
            tell_failure(summaries[-1])
        send_notices(installation, found)
        if as_json:
            print_message(" ".join(result.sentences), as_json, imports=[summary.as_json() for summary in summaries])
    return max((summary.exit_status for summary in summaries), default=0)


@click.command()
@click.argument("source")
@as_json
def resume(source: str, as_json: bool) -> None:
    """Lift the pause of SOURCE's API, for all that share it: after a pause that is too long, or no longer needed."""
    with open_installation() as installation:
        lifted = lift_pause(installation, installation.source(source), by=_who())
        sentence = f"{lifted.api} is not paused."
        if lifted.paused_until is not None:
            until = f"{lifted.paused_until:%Y-%m-%d %H:%M:%S} UTC"
            sentence = f"The pause of {lifted.api} until {until} is lifted: one request tries first."
        values = {
            "source": source,
            "api": lifted.api,
            "paused_until": lifted.paused_until and lifted.paused_until.isoformat(),
            "import_ids": list(lifted.imports),
            "already": lifted.paused_until is None,
        }
        print_message(sentence, as_json, **values)


def _ask_about(installation: Installation, import_id: int, question: str, check: Callable[..., None]) -> None:
    """Ask, unless it cannot be done (`check` raises why) or is done: then the answer says so without a question."""
    with installation.database.read() as connection:
        try:
            row = imports.get(connection, import_id)
        except ImportNotFound:
            return
        check(connection, row, installation.clock.now())
    if row.status is not ImportStatus.CANCELLED or check is not requests.check_cancel:
        confirm(question)


@click.command()
@import_id
@reason
@yes
@as_json
def cancel(import_id: int, reason: str | None, yes: bool, as_json: bool) -> None:
    """Cancel the scheduled or running import of that ID. What it imported is kept."""
    with open_installation() as installation:
        if not yes:
            _ask_about(installation, import_id, f"Cancel import {import_id}?", requests.check_cancel)
        done = requests.cancel(installation, import_id, by=_who(), reason=reason)
        print_message(done.sentence, as_json, import_id=import_id, already=done.already)


@click.command()
@import_id
@reason
@as_json
def retry(import_id: int, reason: str | None, as_json: bool) -> None:
    """Import again what the import of that ID has left failed or undone. The sensor starts it within seconds."""
    with open_installation() as installation:
        retried = requests.retry(installation, import_id, by=_who(), reason=reason)
        made = retried.row
        when = _when(installation, made.source, "the sensor starts it within seconds")
        sentence = retried.already or f"Import {made.id} retries what import {import_id} has left: {when}."
        print_message(sentence, as_json, import_id=made.id, already=retried.already is not None)


@click.command()
@import_id
@reason
@yes
@as_json
def delete(import_id: int, reason: str | None, yes: bool, as_json: bool) -> None:
    """Delete the ended import of that ID, with its item rows and events. What it imported stays."""
    with open_installation() as installation:
        if not yes:
            question = f"Delete import {import_id} with all its item rows and events?"
            _ask_about(installation, import_id, question, requests.check_delete)
        done = requests.delete(installation, import_id, by=_who(), reason=reason)
        print_message(done.sentence, as_json, import_id=import_id, already=done.already)


@click.command()
@import_id
@click.option("--mark-gone", is_flag=True, help="Confirm that what its list no longer had is gone, however much it is.")
@as_json
def finalize(import_id: int, mark_gone: bool, as_json: bool) -> int:
    """End the running import of that ID whose worker is gone, if it has nothing left to do; else ends with 4."""
    with open_installation() as installation:
        if mark_gone:
            gone = upkeep.confirm_removed(installation, import_id)
            sentence = f"{gone} items are marked as gone." if gone else "No item is left to mark as gone."
            print_message(sentence, as_json, import_id=import_id, already=not gone)
            return 0
        done = upkeep.finalize(installation, import_id)
        print_message(done.sentence, as_json, import_id=import_id, already=done.already)
        return 0 if done.ended else 4


@click.command()
@click.option("--days", type=click.IntRange(0), required=True, help="Imports that ended so many days ago.")
@yes
@as_json
def prune(days: int, yes: bool, as_json: bool) -> None:
    """Drop the item rows of old imports, failed ones excepted. Import rows and imported data stay.

    Also drops the events of Dagster that are as old and that a later import of the same item replaced.
    """
    if not yes:
        confirm(f"Drop the item rows of imports that ended over {days} days ago?")
    # Loaded now: Dagster takes a second.
    from import_pipeline.defs.storage.event_retention import drop_superseded_of

    with open_installation() as installation:
        dropped = pruning.prune(installation, days)
        before = installation.clock.now() - timedelta(days=days)
        events = drop_superseded_of(installation.settings, pruning.sources_with_imports(installation), before)
        kept = pruning.kept_rows(installation, days)
        ids = ", ".join(map(str, kept))
        why = f" Those of import {ids} are kept: a retry that has not ended imports what they left." if kept else ""
        more = f" Dropped {plural(events, 'replaced event')} of Dagster." if events else ""
        sentence = f"Dropped {plural(dropped, 'item row')}.{more}{why}"
        print_message(sentence, as_json, dropped=dropped, kept=kept, events=events)
