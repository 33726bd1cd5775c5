"""The asset checks of an import: their specs, and their results from its summary."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.summary import ImportSummary, count_later_imports, summarize
from import_pipeline.tracking import imports, queries

ALL_IMPORTED = "all_items_imported"
NO_RATE_LIMIT_HITS = "no_unexpected_429"
COUNTS_AGREE = "counts_agree_with_the_source"
NOTHING_FAILED = "nothing_failed_for_good"


def specs(asset: str) -> list[dg.AssetCheckSpec]:
    """Return the checks that run at the end of every import, attached to `asset`."""
    meanings = {
        ALL_IMPORTED: "Every item of the import was imported or is unchanged.",
        NO_RATE_LIMIT_HITS: "The API never answered 429: the limits are right, and no other program uses them up.",
        COUNTS_AGREE: "The import found as many items as the API's list reports.",
        NOTHING_FAILED: "No item was rejected or used up its tries.",
    }
    return [dg.AssetCheckSpec(name=name, asset=asset, description=text) for name, text in meanings.items()]


def latest_full(installation: Installation, source: ImportSource) -> ImportSummary | None:
    """Return the figures of the source's full import that completed last, as they are now; None if none has.

    A check describes all items of its asset. An import of some items therefore repeats what is true of all.
    """
    with installation.database.read() as connection:
        import_id = queries.latest_completed_in_full(connection, source.name)
        if import_id is None:
            return None
        figures = summarize(imports.get(connection, import_id), source.limits, installation.clock.now())
        return count_later_imports(connection, figures)


def results(asset: str, summary: ImportSummary) -> Iterator[dg.AssetCheckResult]:
    """Yield the result of each check, with its figures as metadata."""
    done = summary.items_imported_count + summary.items_unchanged_count
    yield _result(
        asset, ALL_IMPORTED, done == (summary.items_count or 0), imported=done, total=summary.items_count or 0
    )
    yield _result(
        asset, NO_RATE_LIMIT_HITS, summary.rate_limit_hits_count == 0, warn=True, hits=summary.rate_limit_hits_count
    )
    yield _result(
        asset, COUNTS_AGREE, summary.incomplete_reason is None, reason=summary.incomplete_reason or "the counts agree"
    )
    yield _result(asset, NOTHING_FAILED, summary.items_failed_count == 0, warn=True, failed=summary.items_failed_count)


def evaluations(asset: str, summary: ImportSummary) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield the results as events, which a run may log that does not compute the asset."""
    for result in results(asset, summary):
        yield dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(asset),
            check_name=result.check_name or "",
            passed=result.passed,
            severity=result.severity,
            metadata=result.metadata,
        )


def result_of(evaluation: dg.AssetCheckEvaluation) -> dg.AssetCheckResult:
    """Return the result that an op yields for that evaluation."""
    return dg.AssetCheckResult(
        asset_key=evaluation.asset_key,
        check_name=evaluation.check_name,
        passed=evaluation.passed,
        severity=evaluation.severity,
        metadata=evaluation.metadata,
    )


def _result(asset: str, name: str, passed: bool, *, warn: bool = False, **metadata: Any) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckResult(asset_key=asset, check_name=name, passed=passed, severity=severity, metadata=metadata)
