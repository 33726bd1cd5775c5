"""Run an import in this process through its Dagster job, with a live display."""

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
from import_pipeline.importer.execution.signals import stop_signals
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.acquire import count_heartbeat_as_now
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.lifecycle.take_over import already_running
from import_pipeline.importer.lifecycle.wait_for_turn import Turn
from import_pipeline.importer.lifecycle.workers import liveness
from import_pipeline.importer.summary import ImportSummary, summarize
from import_pipeline.rules.status import ImportStatus, Trigger, with_reason
from import_pipeline.tracking import imports, items, scheduling
from import_pipeline.tracking.imports import ImportRow, NewImport
from import_pipeline.tracking.workers import this_process

if TYPE_CHECKING:
    from import_pipeline.defs.in_process import FinishedRun

MOST_NAMED = 5  #: ids that one sentence names
KEPT = "Finished items are kept, and the next run resumes it"


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Handle SIGTERM and a closed terminal like Ctrl-C: release claimed items and print what happened.

    A started import replaces these handlers with its own.
    """
    numbers = [number for number in stop_signals() if number != signal.SIGINT]
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@terminated_like_interrupted()
def run_in_foreground(
    installation: Installation,
    source_name: str,
    *,
    only: Sequence[str] = (),
    show: bool = True,
    **options: bool | int | None,
) -> ImportSummary:
    """Create or take over the import and run its Dagster job to the end, with the options of `new_import`.

    `show` adds a live display. Resumes a stalled import first if it differs from the requested one. Selected items wait
    for a running import, up to the source's `wait`. Raises ImportAlreadyRunning if another import is in the way, and
    ImportInterrupted or ImportFailed if this one did not end: the next run resumes it.
    """
    source = installation.source(source_name)
    if not only:
        _refuse_second(installation, source)
    new = new_import(source, Trigger.CLI, only=only, **options)  # type: ignore[arg-type]

    def run(row: ImportRow, is_requested: bool) -> ImportSummary:
        if row.status is ImportStatus.RUNNING:
            _print_resumed(row, is_requested=is_requested)
        with nullcontext() if is_requested else _reporting_lost_request(only):
            summary = run_job(installation, source, row, show=show)
        if not is_requested:
            click.echo(first_ended_sentence(summary), err=True)
        return summary

    return _turn(installation, source, new).execute(run)


def _turn(installation: Installation, source: ImportSource, new: NewImport) -> Turn:
    """Return the wait until the import may start, with its reports on standard error."""
    # Imported after the refusal, which is fast, and before the row exists: a second command then sees it run soon.
    from import_pipeline.defs.in_process import report_dead

    return Turn(
        installation,
        source,
        new,
        report=lambda sentence: click.echo(sentence, err=True),
        on_dead_run=lambda run_id: report_dead(installation.settings, run_id, "Its worker died; its import has ended."),
    )


def run_job(
    installation: Installation, source: ImportSource, row: ImportRow, *, show: bool, is_ours: bool = True
) -> ImportSummary:
    """Run a scheduled or stalled import. Raises the errors of `run_in_foreground`.

    If it cannot start: an import of this process (`is_ours`) is deleted, or cancelled if its run broke; an import of
    another process stays scheduled.
    """
    finished = None
    try:
        from import_pipeline.defs.in_process import run_in_process  # takes seconds, in which Ctrl-C may come

        with LiveDisplay(installation, row.id) if show and installation.settings.logs is None else nullcontext():
            finished = run_in_process(installation.settings, installation.sources, source.name, row.id)
    finally:
        unstarted = _discard_if_unstarted(installation, row.id, finished, is_ours=is_ours)
    with installation.database.read() as connection:
        other = imports.running(connection, source.name)
        if unstarted:
            raise _not_started_error(source, other, finished.error)
        row = imports.get(connection, row.id)
    if row.status is ImportStatus.RUNNING:
        raise _not_ended_error(source, row, finished)
    return summarize(row, source.limits_text, installation.clock.now())


def _refuse_second(installation: Installation, source: ImportSource) -> None:
    clock = installation.clock
    count_heartbeat_as_now(installation.database, source.name, clock)
    with installation.database.read() as connection:
        found = imports.running(connection, source.name)
    if found is not None and not liveness(found, source.lease, clock.monotonic()).is_dead(clock.now()):
        raise already_running(source, found)


def _print_resumed(row: ImportRow, *, is_requested: bool) -> None:
    first = "" if is_requested else f" first, since it is a {row.kind} import; yours follows"
    click.echo(f"The process of import {row.id} of {row.source} died. Resuming it{first}.", err=True)


@contextmanager
def _reporting_lost_request(only: Sequence[str]) -> Iterator[None]:
    """If the first import does not end, print that the requested one is lost: it is not recorded anywhere yet."""
    try:
        yield
    except (ImportPipelineError, KeyboardInterrupt):
        click.echo(lost_request_sentence(only), err=True)
        raise


def lost_request_sentence(only: Sequence[str]) -> str:
    """Return the sentence that these ids, or the whole requested import, still have to be imported."""
    if not only:
        return "The import that you requested has not run. Run the command again."
    more = len(only) - MOST_NAMED
    named = ", ".join(only[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{named} {'has' if len(only) == 1 else 'have'} not been imported. Run the command again."


def print_outcome(installation: Installation, summary: ImportSummary) -> None:
    """Print the figures of an import and its failed items."""
    with installation.database.read() as connection:
        failed = items.failures(connection, summary.import_id)
    tables.print_summary(formatting.open_console(), summary, failed)


def print_failure_reason(summary: ImportSummary) -> None:
    """Print on standard error why the import failed or was cancelled."""
    if not summary.failure_reason:
        return
    reason = with_reason(summary.failure_reason, summary.status)
    ending = f"was {reason}" if summary.status == ImportStatus.CANCELLED else reason
    click.echo(f"import-pipeline: {summary.source}: import {summary.import_id} {ending}", err=True)


def first_ended_sentence(summary: ImportSummary) -> str:
    """Return the sentence about the end of the import that ran before the requested one."""
    counts = [
        f"{summary.items_imported_count} imported",
        *formatting.left_out(summary),
        f"{summary.items_failed_count} failed",
    ]
    done = ", ".join(counts)
    ended = with_reason(summary.failure_reason, summary.status) if summary.failure_reason else summary.status
    return f"Import {summary.import_id} of {summary.source} has ended ({done}): {ended}. Starting yours."


def _discard_if_unstarted(
    installation: Installation, import_id: int, finished: "FinishedRun | None", *, is_ours: bool
) -> bool:
    """Discard an import of ours that did not start: no sensor would start it later."""
    now = installation.clock.now()

    def unit(connection: Connection) -> bool:
        if not is_ours:
            return scheduling.release_run_request(connection, import_id, now)
        try:
            imports.get(connection, import_id)
        except ImportNotFound:  # the run withdrew it
            return True
        if finished is not None and finished.error is not None:
            reason = "its run ended before it could start the import"
            return scheduling.cancel_scheduled(connection, import_id, now, reason)
        return scheduling.withdraw(connection, import_id, this_process())

    return installation.transact(unit)


def _not_started_error(
    source: ImportSource, other: ImportRow | None, error: str | None
) -> ImportAlreadyRunning | ImportFailed:
    if other is not None:
        return already_running(source, other)
    if error is not None:
        return ImportFailed(f"{source.name}: its Dagster run broke before the import started: {error}")
    return ImportFailed(f"{source.name}: another import ran at the same time; see `import-pipeline list`")


def _not_ended_error(
    source: ImportSource, row: ImportRow, finished: "FinishedRun"
) -> ImportAlreadyRunning | ImportFailed | ImportInterrupted:
    if row.dagster_run_id != finished.run_id:
        return already_running(source, row)
    if finished.error is not None:
        return ImportFailed(
            f"{source.name}: import {row.id} broke off: {finished.error}. {KEPT}; see Dagster run {finished.run_id}"
        )
    if finished.failure is not None:  # the run explained what it waits for, and what resumes it
        return ImportFailed(f"{source.name}: {finished.failure}")
    return ImportInterrupted(interruption_sentence(row))


def interruption_sentence(row: ImportRow) -> str:
    """Return the sentence about an interruption: it does not cancel the import, so a sensor resumes it."""
    return (
        f"{row.source}: import {row.id} was interrupted. {KEPT}; if Dagster's daemon runs, its sensor does so within "
        f"seconds. To stop it permanently: import-pipeline cancel {row.id}"
    )
