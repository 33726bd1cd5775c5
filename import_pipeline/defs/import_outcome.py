"""The outcome of an import as Dagster events, or as the exception that ends its run."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import checks, failures, metadata, names
from import_pipeline.defs.links import Links
from import_pipeline.defs.run_status import end_as_cancelled
from import_pipeline.defs.translation import keys
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.summary import ImportSummary
from import_pipeline.rules.status import ImportKind, ImportStatus
from import_pipeline.tracking import items
from import_pipeline.tracking.imports import ImportRow


@dataclass(frozen=True, kw_only=True)
class ImportOutcome:
    """The end of one import in one Dagster run, and the assets that the run is to materialize."""

    context: dg.AssetExecutionContext
    installation: Installation
    declared: ImportSource
    row: ImportRow
    links: Links
    wants_list: bool
    wants_details: bool

    def events(self, summary: ImportSummary) -> Iterator[Any]:
        """Yield materializations and checks of a completed import; otherwise end the run as the import ended."""
        figures = metadata.of_summary(summary) | metadata.link_to(self.links, summary.import_id)
        if summary.status == ImportStatus.RUNNING:
            return
        if summary.status == ImportStatus.CANCELLED:
            end_as_cancelled(self.context.instance, self.context.run.run_id)
            raise dg.DagsterExecutionInterruptedError(summary.failure_reason or "cancelled")
        if summary.status != ImportStatus.COMPLETED:
            raise dg.Failure(description=summary.failure_reason, metadata=figures)
        if self.wants_details and summary.items_failed_count:
            for observation in failures.observations(self.installation, self.declared, self.links, summary.import_id):
                self.context.log_event(observation)
        is_selection = self.row.kind is ImportKind.SELECTION
        if is_selection and summary.items_failed_count:
            # A materialization here would count for all selected partitions, the failed ones too.
            for evaluation in self._checks(summary):
                self.context.log_event(evaluation)
            with self.installation.database.read() as connection:
                failed = items.failures(connection, summary.import_id, failures.NAMED)
            why = failures.sentence(failed, summary.items_failed_count, summary.import_id)
            raise dg.Failure(description=why, metadata=figures, allow_retries=False)
        if self.wants_list and not is_selection:
            version = dg.DataVersion(names.LIST_VERSION)
            listed = keys.discovered(self.declared)
            yield dg.MaterializeResult(asset_key=listed, metadata=figures, data_version=version)
        if self.wants_details:
            yield dg.MaterializeResult(asset_key=keys.enriched(self.declared), metadata=figures)
            yield from map(checks.result_of, self._checks(summary))

    def _checks(self, summary: ImportSummary) -> list[dg.AssetCheckEvaluation]:
        """Return the selected checks, of the latest full or incremental import."""
        given = summary if self.row.is_whole else None
        found = checks.of_whole_import(self.installation, self.declared, self.links, given)
        return [each for each in found if each.asset_check_key in self.context.selected_asset_check_keys]
