"""Carrying an import out in this process, through its Dagster job, in sight of whoever started it."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import click
from sqlalchemy import Connection

from import_pipeline.cli.output import formatting, tables
from import_pipeline.cli.progress_display import LiveDisplay
from import_pipeline.contracts import ImportSource
from import_pipeline.errors import (
    ImportAlreadyRunning,
    ImportFailed,
    ImportInterrupted,
    ImportNotFound,
    ImportPipelineError,
)
from import_pipeline.importer.execution.signals import endings
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.acquire import count_heartbeat_as_now, satisfies
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.lifecycle.take_over import already_running
from import_pipeline.importer.lifecycle.wait_for_turn import Turn
from import_pipeline.importer.lifecycle.workers import liveness
from import_pipeline.importer.summary import ImportSummary, summarize
from import_pipeline.rules.status import ImportStatus, Trigger, with_reason
from import_pipeline.tracking import imports, items, scheduling
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.workers import this_process

if TYPE_CHECKING:
    from import_pipeline.defs.in_process import FinishedRun

#: Ids of a sentence.
MOST_NAMED = 5
KEPT = "What is done is kept, and the next run goes on with it"


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM and a closed terminal end this as Ctrl-C does: what was claimed is given back, and it is said.

    Once the import has begun, it sees to these signals itself.
    """
    numbers = [number for number in endings() if number != signal.SIGINT]
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@terminated_like_interrupted()
def carry_out_here(
    installation: Installation,
    source_name: str,
    *,
    fresh: bool = False,
    limit: int | None = None,
    only: Sequence[str] = (),
    show: bool = True,
) -> ImportSummary:
    """Create or take over the import and see its Dagster run to the end, with a live display where people look.

    A dead import that does something else than is asked for is gone on with first, and chosen items wait for a running
    one as long as the source says. Raises ImportAlreadyRunning where another import is in the way, ImportInterrupted or
    ImportFailed where this one did not come to an end: the next run goes on with it.
    """
    source = installation.source(source_name)
    if not only:
        _refuse_second(installation, source)
    # After the refusal, which is at once; before the row, so that a second command finds it running soon after.
    from import_pipeline.defs.in_process import report_dead

    new = new_import(source, Trigger.CLI, fresh=fresh, limit=limit, only=only)
    turn = Turn(
        installation,
        source,
        new,
        report=lambda sentence: click.echo(sentence, err=True),
        on_dead_run=lambda run_id: report_dead(
            installation.settings, run_id, "Its worker is gone; its import has ended."
        ),
    )
    while True:
        row = turn.acquire()
        is_asked = satisfies(row, new)
        if row.status is ImportStatus.RUNNING:
            _tell_resumed(row, is_asked=is_asked)
        try:
            with nullcontext() if is_asked else _telling_what_is_left(only):
                summary = see_through(installation, source, row, show=show)
        except ImportAlreadyRunning as error:
            turn.wait_again(error)
            continue
        if is_asked:
            return summary
        click.echo(said_of_first(summary), err=True)


def see_through(
    installation: Installation, source: ImportSource, row: ImportRow, *, show: bool, is_ours: bool = True
) -> ImportSummary:
    """Carry out an import that is scheduled or was left behind. Raises what `carry_out_here` raises.

    One that cannot be started leaves no import if `is_ours`, made by this process, unless its run broke: then it is
    cancelled. One of anybody else stays scheduled.
    """
    finished = None
    try:
        from import_pipeline.defs.in_process import run_in_process  # here: seconds, in which Ctrl-C may come

        with LiveDisplay(installation, row.id) if show and installation.settings.logs is None else nullcontext():
            finished = run_in_process(installation.settings, installation.sources, source.name, row.id)
    finally:
        unstarted = _drop_if_unstarted(installation, row.id, finished, is_ours=is_ours)
    with installation.database.read() as connection:
        other = imports.running(connection, source.name)
        if unstarted:
            raise _in_between(source, other, finished.error)
        row = imports.get(connection, row.id)
    if row.status is ImportStatus.RUNNING:
        raise _not_ended(source, row, finished)
    return summarize(row, source.limits, installation.clock.now())


def _refuse_second(installation: Installation, source: ImportSource) -> None:
    clock = installation.clock
    count_heartbeat_as_now(installation.database, source.name, clock)
    with installation.database.read() as connection:
        found = imports.running(connection, source.name)
    if found is not None and not liveness(found, source.lease, clock.monotonic()).is_dead(clock.now()):
        raise already_running(source, found)


def _tell_resumed(row: ImportRow, *, is_asked: bool) -> None:
    first = "" if is_asked else f" first (it is a {row.kind} import); then comes what you have asked for"
    click.echo(f"Import {row.id} of {row.source} was left behind by its process: going on with it{first}.", err=True)


@contextmanager
def _telling_what_is_left(only: Sequence[str]) -> Iterator[None]:
    """What was asked for is written down nowhere yet: whoever asked must ask again if this does not come to its end."""
    try:
        yield
    except (ImportPipelineError, KeyboardInterrupt):
        click.echo(said_of_wish(only), err=True)
        raise


def said_of_wish(only: Sequence[str]) -> str:
    """That these ids, or all that was asked for, are still to be imported."""
    if not only:
        return "What you have asked for has not been imported; ask again."
    more = len(only) - MOST_NAMED
    named = ", ".join(only[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{named} {'has' if len(only) == 1 else 'have'} not been imported; ask again."


def print_outcome(installation: Installation, summary: ImportSummary) -> None:
    """The figures, the items that have failed, for people."""
    with installation.database.read() as connection:
        failed = items.failures(connection, summary.import_id)
    tables.print_summary(formatting.open_console(), summary, failed)


def tell_failure(summary: ImportSummary) -> None:
    """Why the import has failed or was cancelled, on standard error; a completed one has no such reason."""
    if not summary.failure_reason:
        return
    said = with_reason(summary.failure_reason, summary.status)
    ending = f"was {said}" if summary.status == ImportStatus.CANCELLED else said
    click.echo(f"import-pipeline: {summary.source}: import {summary.import_id} {ending}", err=True)


def said_of_first(summary: ImportSummary) -> str:
    """What became of the import that came before what was asked for."""
    done = f"{summary.items_imported_count} imported, {summary.items_failed_count} failed"
    ended = with_reason(summary.failure_reason, summary.status) if summary.failure_reason else summary.status
    return f"Import {summary.import_id} of {summary.source} has ended ({done}): {ended}. Now what you have asked for."


def _drop_if_unstarted(
    installation: Installation, import_id: int, finished: "FinishedRun | None", *, is_ours: bool
) -> bool:
    """Another import won the race, or Dagster could not start the run: nothing else will ever start one of ours."""
    now = installation.clock.now()

    def unit(connection: Connection) -> bool:
        if not is_ours:
            return scheduling.release_run_request(connection, import_id, now)
        try:
            imports.get(connection, import_id)
        except ImportNotFound:  # `begin` has withdrawn it
            return True
        if finished is not None and finished.error is not None:
            reason = "its run ended before it could start the import"
            return scheduling.cancel_scheduled(connection, import_id, now, reason)
        return scheduling.withdraw(connection, import_id, this_process())

    return installation.transact(unit)


def _in_between(
    source: ImportSource, other: ImportRow | None, error: str | None
) -> ImportAlreadyRunning | ImportFailed:
    if other is not None:
        return already_running(source, other)
    if error is not None:
        return ImportFailed(f"{source.name}: its Dagster run broke before the import began: {error}")
    return ImportFailed(f"{source.name}: another import ran at the same moment; `import-pipeline list` shows it")


def _not_ended(
    source: ImportSource, row: ImportRow, finished: "FinishedRun"
) -> ImportAlreadyRunning | ImportFailed | ImportInterrupted:
    if row.dagster_run_id != finished.run_id:
        return already_running(source, row)
    if finished.error is not None:
        return ImportFailed(
            f"{source.name}: import {row.id} broke off: {finished.error}. {KEPT}; "
            f"Dagster run {finished.run_id} tells more"
        )
    if finished.failure is not None:  # it has said what it waits for, and who goes on
        return ImportFailed(f"{source.name}: {finished.failure}")
    return ImportInterrupted(said_of_interruption(row))


def said_of_interruption(row: ImportRow) -> str:
    """Where a sensor looks, the import will not stay as it is: a process that was told to end is no wish to cancel."""
    return (
        f"{row.source}: import {row.id} was interrupted. {KEPT}; where Dagster's daemon runs, it goes on by itself "
        f"within seconds; to stop it for good: import-pipeline cancel {row.id}"
    )
