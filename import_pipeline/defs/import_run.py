"""The op of one Dagster run of an import: select the import, execute it, and turn the outcome into events."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.defs.event_report import FINAL_REPORT_LIMIT, EventReporter, event_reporter, observations
from import_pipeline.defs.import_outcome import ImportOutcome
from import_pipeline.defs.links import Links
from import_pipeline.defs.log_forwarding import forward_logs
from import_pipeline.defs.resources import RateLimitedApiResource
from import_pipeline.defs.run_status import is_cancelled, report_dead_run, was_reported_dead
from import_pipeline.defs.tracking_assets import tracking_events
from import_pipeline.defs.translation import keys
from import_pipeline.errors import (
    ImportAlreadyRunning,
    ImportInterrupted,
    ImportNotFound,
    InvalidTransition,
    LeaseLost,
    LimiterUnavailable,
)
from import_pipeline.importer.execution.run import execute_import
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.installation import Installation, open_for
from import_pipeline.importer.lifecycle.acquire import satisfies
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.lifecycle.take_over import already_running
from import_pipeline.importer.lifecycle.wait_for_turn import Turn
from import_pipeline.importer.limiter_usage import UsageReader
from import_pipeline.importer.summary import ImportSummary
from import_pipeline.logs import report
from import_pipeline.redaction import masking
from import_pipeline.rules.partitions import merge_ranges, range_of
from import_pipeline.rules.status import UNENDED, ImportKind, ImportStatus, Trigger
from import_pipeline.tracking import imports

#: The longest pause that a background run waits for. In a longer one it ends, and the sensor resumes the import later.
LONGEST_SLEEP = timedelta(minutes=1)


class ImportOp:
    """One execution of the op. It yields its events at the end, when no request is in flight any more."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        declared: ImportSource,
        api: RateLimitedApiResource,
        links: Links,
        only: Sequence[str] = (),
        *,
        full: bool = False,
    ) -> None:
        self.context = context
        self.declared = declared
        self.name = declared.name
        self.api = api
        self.links = links
        self.partition_keys = sorted(context.partition_keys) if context.has_partition_key_range else _single(context)
        self.wants_details = keys.enriched(declared) in context.selected_asset_keys
        self.only, self.full = list(only), full
        self.wants_list = keys.discovered(declared) in context.selected_asset_keys

    def events(self) -> Iterator[Any]:
        """Execute the import and yield its events. If another process has the import, end the run successfully."""
        with masking(), forward_logs(self.context), open_for(self.declared) as (installation, listed):
            source = self.api.configured_source(listed, installation)
            import_id: int | None = None
            is_selection = bool(self.partition_keys or self.only)
            try:
                import_id = self._import_id(installation, source)
                with installation.database.read() as connection:
                    row = imports.get(connection, import_id)
                is_selection = row.kind is ImportKind.SELECTION
                summary, reporter = self._execute(installation, source, import_id)
            except (ImportAlreadyRunning, InvalidTransition, LeaseLost) as error:
                reason = str(error)
                if isinstance(error, LeaseLost) and import_id is not None:
                    reason = lost_lease_reason(installation, import_id, reason)
                if is_selection or was_reported_dead(self.context.instance, self.context.run.run_id):
                    raise dg.Failure(description=reason, allow_retries=False) from None
                report("nothing_to_do", f"Nothing to do for this run: {reason}.", source=self.name)
                return
            except LimiterUnavailable as error:
                # Dagster prints the cause of an error; a traceback explains nothing about an unreachable store.
                raise dg.Failure(description=str(error), allow_retries=False) from None
            if self.partition_keys and summary.exit_status == 0:
                reporter.stop()  # the op's output materializes all selected partitions
            else:
                reporter.finish()
            for event in tracking_events(installation.database, summary, self.links):
                self.context.log_event(event)
            outcome = ImportOutcome(
                context=self.context,
                installation=installation,
                declared=self.declared,
                row=row,
                links=self.links,
                wants_list=self.wants_list,
                wants_details=self.wants_details,
            )
            yield from outcome.events(summary)

    def _import_id(self, installation: Installation, source: ImportSource) -> int:
        """Return the import that the run's tag names, else create one.

        A stalled import of the source is resumed first. Raises ImportAlreadyRunning if another process works on one.
        """
        run_id = self.context.run.run_id
        if (named := self._named_import(installation)) is not None:
            return named
        kind = ImportKind.FULL if self.wants_details else ImportKind.DISCOVERY
        new = new_import(source, Trigger.UI, kind=kind, full=self.full, **self._selection(source))
        turn = Turn(
            installation,
            source,
            new,
            report=lambda sentence: report("run_waits", sentence, source=self.name),
            on_dead_run=lambda run_id: report_dead_run(
                self.context.instance, run_id, "Its worker is dead; its import has ended."
            ),
        )
        while True:
            row = turn.acquire()
            if satisfies(row, new):
                made = {names.IMPORT_ID_TAG: str(row.id), names.MADE_BY_TAG: run_id}
                self.context.instance.add_run_tags(run_id, made)
                return row.id
            sentence = f"Import {row.id} is stalled: its process is dead. This run resumes it first."
            report("run_goes_on_first", sentence, import_id=row.id, source=self.name)
            summary, reporter = self._execute(installation, source, row.id)
            reporter.finish()
            if is_cancelled(self.context.instance, self.context.run.run_id):
                raise dg.DagsterExecutionInterruptedError("cancelled")
            if summary.status == ImportStatus.RUNNING:  # the API asked for a pause
                raise already_running(source, row)

    def _named_import(self, installation: Installation) -> int | None:
        """Return the import that the run's tag names; None if the run is to create one.

        If a person re-executes the run of an ended import of the list, it creates another one. If Dagster itself
        retries it, it does not: the import has ended with a reason that a further one would meet, too.
        """
        tags, run_id = self.context.run.tags, self.context.run.run_id
        tag = tags.get(names.IMPORT_ID_TAG)
        if tag is None or tags.get(names.MADE_BY_TAG, run_id) != run_id:
            return None
        if names.PARENT_RUN_TAG not in tags or names.RETRY_NUMBER_TAG in tags:
            return int(tag)
        with installation.database.read() as connection:
            row = imports.get(connection, int(tag))
        return row.id if row.status in UNENDED or row.kind is ImportKind.SELECTION else None

    def _selection(self, source: ImportSource) -> dict[str, Any]:
        """Return the selected items: the partitions of the run, or the ids in its configuration."""
        if self.partition_keys and self.only:
            raise dg.Failure(description="Select items by partitions or by `only` in the configuration, not by both.")
        if not self.partition_keys or source.partitions.size is None:
            return {"only": self.partition_keys or self.only}
        try:
            return {"numbers": merge_ranges(range_of(key) for key in self.partition_keys)}
        except ValueError as error:
            raise dg.Failure(description=f"{keys.enriched(self.declared).to_user_string()}: {error}.") from error

    def _execute(
        self, installation: Installation, source: ImportSource, import_id: int
    ) -> tuple[ImportSummary, EventReporter]:
        with installation.database.read() as connection:
            before, own = imports.get(connection, import_id).dagster_run_id, self.context.run.run_id
        if before and before != own:
            report_dead_run(self.context.instance, before, f"Its worker is dead; run {own} resumes the import.")
        # A background run ends in a long pause, and the sensor resumes the import after it. A command waits.
        patience = None if names.FOREGROUND_TAG in self.context.run.tags else LONGEST_SLEEP
        usage = UsageReader(settings=installation.settings, clock=installation.clock)
        reporter = self._reporter(installation, source, import_id, usage)
        run = ImportRun(
            installation=installation,
            source=source,
            run_id=own,
            listener=reporter,
            is_cancelled=lambda: is_cancelled(self.context.instance, own),
            connect=lambda: self.api.open(source, installation, patience),
            on_api=reporter.api_opened,
        )
        if not self.partition_keys:
            reporter.start()
        try:
            return execute_import(run, import_id), reporter
        except ImportInterrupted as error:
            report("import_interrupted", f"Interrupted: {error}.", import_id=import_id, source=self.name)
            raise dg.DagsterExecutionInterruptedError from error
        except LimiterUnavailable:
            reporter.finish(FINAL_REPORT_LIMIT)  # the run that resumes reports only its own items
            raise
        finally:
            reporter.stop()
            usage.close()

    def _reporter(
        self, installation: Installation, source: ImportSource, import_id: int, usage: UsageReader
    ) -> EventReporter:
        """Return the reporter of the import, with observations of its progress."""

        def observe() -> None:
            for observation in observations(installation, source, usage, import_id):
                self.context.log_event(observation)

        name = names.operation(self.name)
        run = self.context.run
        return event_reporter(self.context.instance, run, name, source, installation.database, import_id, observe)


def lost_lease_reason(installation: Installation, import_id: int, error: str) -> str:
    """Explain to a run that lost its import which process or run has it now, or ended it."""
    try:
        with installation.database.read() as connection:
            row = imports.get(connection, import_id)
    except ImportNotFound:
        return error
    owner = f"process {row.pid} on {row.host}" if row.dagster_run_id is None else f"run {row.dagster_run_id}"
    now = f"{owner} works on it now" if row.status is ImportStatus.RUNNING else f"{owner} ended it as {row.status}"
    return f"this process did not renew its lease in time, so import {import_id} was taken over: {now}"


def _single(context: dg.AssetExecutionContext) -> Sequence[str]:
    return [context.partition_key] if context.has_partition_key else []
