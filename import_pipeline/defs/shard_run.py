"""The job of a shard: a further Dagster run that works on an import which another run leads."""

from collections.abc import Iterator

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import checks, failures, metadata, names
from import_pipeline.defs.event_report import FINAL_REPORT_LIMIT, EventReporter, event_reporter
from import_pipeline.defs.import_run import LONGEST_SLEEP
from import_pipeline.defs.links import Links, links_of
from import_pipeline.defs.log_forwarding import forward_logs
from import_pipeline.defs.resources import RateLimitedApiResource
from import_pipeline.defs.run_status import end_as_cancelled, is_cancelled, report_dead_run, was_reported_dead
from import_pipeline.defs.tracking_assets import tracking_events
from import_pipeline.defs.translation import keys
from import_pipeline.errors import ImportInterrupted, ImportPipelineError, LeaseLost, LimiterUnavailable
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.execution.shard_worker import ShardResult, execute_shard
from import_pipeline.importer.installation import Installation, open_for
from import_pipeline.importer.summary import ImportSummary, summarize
from import_pipeline.logs import report
from import_pipeline.redaction import masking
from import_pipeline.rules.status import ImportKind, ImportStatus
from import_pipeline.tracking.resumes import describe_error


def build_shard_job(source: ImportSource, api: RateLimitedApiResource) -> dg.JobDefinition:
    """Return the shard job. It lacks the tag that limits the queue to one run per source.

    Its resources are bound here. If Dagster bound them, it would copy the sensor that names the job, and warn about it.
    """
    name = source.name

    @dg.op(
        name=names.shard_operation(name),
        required_resource_keys={names.resource(name)},
        description="Claim pending items and import them until none is left.",
    )
    def enrich_as_shard(context: dg.OpExecutionContext) -> None:
        ShardOp(context, source, getattr(context.resources, names.resource(name))).execute()

    @dg.job(
        name=names.shard_job(name),
        executor_def=dg.in_process_executor,
        description=f"Work on the running import of {name} as a further worker. The sensor launches it with its tags.",
        resource_defs={names.resource(name): api, "io_manager": dg.mem_io_manager},
        tags={names.MAX_RETRIES_TAG: "0"},
    )
    def enrich_shard() -> None:
        enrich_as_shard()

    return enrich_shard


class ShardOp:
    """One execution of the shard op."""

    def __init__(self, context: dg.OpExecutionContext, declared: ImportSource, api: RateLimitedApiResource) -> None:
        self.context = context
        self.declared = declared
        self.api = api

    def execute(self) -> None:
        """Work as the shard that the tags name. If another process is that shard, end the run successfully."""
        import_id, number = self._tag(names.IMPORT_ID_TAG), self._tag(names.IMPORT_SHARD_TAG)
        with masking(), forward_logs(self.context), open_for(self.declared) as (installation, listed):
            source = self.api.configured_source(listed, installation)
            step = names.shard_operation(source.name)
            reporter = event_reporter(
                self.context.instance,
                self.context.run,
                step,
                source,
                installation.database,
                import_id,
                lambda: None,  # the leading run observes the progress
            )
            reporter.start()
            try:
                ending = execute_shard(self._run(installation, source, reporter), import_id, number)
            except LeaseLost as error:
                report(
                    "nothing_to_do", f"Nothing to do for this run: {error}.", import_id=import_id, source=source.name
                )
                return
            except ImportInterrupted as error:
                report("shard_interrupted", f"Interrupted: {error}.", import_id=import_id, source=source.name)
                raise dg.DagsterExecutionInterruptedError from error
            except LimiterUnavailable as error:  # the leading run may have to release the import, too
                reporter.finish(FINAL_REPORT_LIMIT)
                description = f"{error}. Other runs can claim the items of this run as soon as the store answers them"
                raise dg.Failure(description=description, allow_retries=False) from None
            except ImportPipelineError as error:
                raise dg.Failure(description=f"{error}. The import continues without this run") from error
            finally:
                reporter.stop()
            reporter.finish()
            self._outcome(installation, source, ending)

    def _tag(self, name: str) -> int:
        value = self.context.run.tags.get(name, "")
        if not value.isdecimal():
            expected = f"expected the tag {name} with a number, got {value or 'none'}"
            raise dg.Failure(description=f"{expected}: the sensor launches this job if runs share an import")
        return int(value)

    def _run(self, installation: Installation, source: ImportSource, reporter: EventReporter) -> ImportRun:
        instance, run_id = self.context.instance, self.context.run.run_id
        return ImportRun(
            installation=installation,
            source=source,
            run_id=run_id,
            listener=reporter,
            is_cancelled=lambda: is_cancelled(instance, run_id),
            connect=lambda: self.api.open(source, installation, LONGEST_SLEEP),
            on_api=reporter.api_opened,
            on_lead=self._report_lead,
        )

    def _report_lead(self, dead: str) -> None:
        """Report the run that led before as failed, since it keeps its slot in the queue.

        If Dagster's storage does not answer, log that and continue.
        """
        run_id = self.context.run.run_id
        try:
            report_dead_run(self.context.instance, dead, f"Its worker did not renew its lease; run {run_id} leads now.")
        except Exception as error:  # noqa: BLE001 - no error of Dagster's storage may end the import
            report("lead_not_reported", f"Dagster run {dead} could not be reported as failed: {describe_error(error)}.")

    def _outcome(self, installation: Installation, source: ImportSource, ending: ShardResult) -> None:
        """Log the shard's result. If it ended the import, also report what the leading run would report."""
        instance, run_id, row, shard = self.context.instance, self.context.run.run_id, ending.row, ending.shard
        if ending.dead_run_id is not None and ending.dead_run_id != run_id:
            report_dead_run(instance, ending.dead_run_id, f"Its worker is dead; run {run_id} took over its shard.")
        if was_reported_dead(instance, run_id):
            raise dg.Failure(description="It did not renew its lease in time, and other runs took over its items.")
        sentence = f"Shard {shard.number} sent {shard.requests_count} requests; the import is {row.status}."
        report("shard_ended", sentence, import_id=row.id, source=source.name)
        if ending.ended_it:
            summary = summarize(row, source.limits_text, installation.clock.now())
            links = links_of(installation.settings)
            completion = self._completion(installation, links, ending, summary)
            for event in (*tracking_events(installation.database, summary, links), *completion):
                self.context.log_event(event)  # type: ignore[arg-type]  # it accepts check evaluations, too
        if ending.was_cancelled or row.status is ImportStatus.CANCELLED:
            end_as_cancelled(instance, run_id)
            raise dg.DagsterExecutionInterruptedError(row.failure_reason or "cancelled")
        if ending.ended_it and row.status is ImportStatus.FAILED:
            raise dg.Failure(description=row.failure_reason, allow_retries=False)

    def _completion(
        self, installation: Installation, links: Links, ending: ShardResult, summary: ImportSummary
    ) -> Iterator[dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation]:
        """Yield the materializations, failures and check results of a completed import."""
        if ending.row.status is not ImportStatus.COMPLETED:
            return
        figures = metadata.of_summary(summary)
        if ending.row.kind is not ImportKind.SELECTION:
            yield dg.AssetMaterialization(asset_key=keys.discovered(self.declared), metadata=figures)
        yield dg.AssetMaterialization(asset_key=keys.enriched(self.declared), metadata=figures)
        if summary.items_failed_count:
            yield from failures.observations(installation, self.declared, links, summary.import_id)
        given = summary if ending.row.is_whole else None
        yield from checks.of_whole_import(installation, self.declared, links, given)
