"""The asset checks of an import: their specs, and their results from its summary."""

from datetime import datetime
from typing import Any

import dagster as dg
from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import failures, metadata
from import_pipeline.defs.links import Links
from import_pipeline.defs.translation import keys
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.summary import ImportSummary, count_later_imports, summarize
from import_pipeline.tracking import imports, items, queries

ALL_IMPORTED = "all_items_imported"
NO_RATE_LIMIT_HITS = "no_unexpected_429"
COUNTS_AGREE = "counts_agree_with_the_source"
NOTHING_FAILED = "nothing_failed_for_good"
#: Checks that warn; the others are errors.
WARNINGS = (NO_RATE_LIMIT_HITS, NOTHING_FAILED)


def specs(asset: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Return the checks that run at the end of every import, attached to `asset`."""
    meanings = {
        ALL_IMPORTED: "Every item of the import was imported, is unchanged, is skipped by the source, or is gone.",
        NO_RATE_LIMIT_HITS: "The API never answered 429: the limits are right, and no other program uses them up.",
        COUNTS_AGREE: "The import found as many items as the API's list reports.",
        NOTHING_FAILED: "No item was rejected or used up its tries.",
    }
    return [dg.AssetCheckSpec(name=name, asset=asset, description=text) for name, text in meanings.items()]


def of_whole_import(
    installation: Installation, source: ImportSource, links: Links, summary: ImportSummary | None = None
) -> list[dg.AssetCheckEvaluation]:
    """Return the check results of a full or incremental import that has just completed, or of the latest of them.

    A check describes all items of its asset. An import of chosen items therefore repeats what is true of all. The list
    is empty if no such import has completed.
    """
    with installation.database.read() as connection:
        full = summary or _latest_whole(connection, source, installation.clock.now())
        if full is None:
            return []
        failed = items.failures(connection, full.import_id, failures.LISTED, left=True)
    why: dict[str, Any] = {"failed_items": failures.table(failed)} if failed else {}
    link = metadata.link_to(links, full.import_id)
    done = full.items_right
    without_details = {"skipped": full.items_skipped_count, "gone": full.items_vanished}
    total = full.items_count or 0
    reason = full.incomplete_reason or "the counts agree"
    asset = keys.enriched(source)
    return [
        _evaluation(asset, ALL_IMPORTED, done == total, imported=done, total=total, **without_details, **why, **link),
        _evaluation(asset, NO_RATE_LIMIT_HITS, not full.rate_limit_hits_count, hits=full.rate_limit_hits_count, **link),
        _evaluation(asset, COUNTS_AGREE, full.incomplete_reason is None, reason=reason, **link),
        _evaluation(asset, NOTHING_FAILED, not full.items_failed_count, failed=full.items_failed_count, **why, **link),
    ]


def _latest_whole(connection: Connection, source: ImportSource, now: datetime) -> ImportSummary | None:
    """Return the figures of the source's full or incremental import that completed last, as they are now."""
    import_id = queries.latest_completed_id(connection, source.name)
    if import_id is None:
        return None
    return count_later_imports(connection, summarize(imports.get(connection, import_id), source.limits_text, now))


def result_of(evaluation: dg.AssetCheckEvaluation) -> dg.AssetCheckResult:
    """Return the result that an op yields for that evaluation."""
    return dg.AssetCheckResult(
        asset_key=evaluation.asset_key,
        check_name=evaluation.check_name,
        passed=evaluation.passed,
        severity=evaluation.severity,
        metadata=evaluation.metadata,
    )


def _evaluation(asset: dg.AssetKey, name: str, passed: bool, **figures: Any) -> dg.AssetCheckEvaluation:
    severity = dg.AssetCheckSeverity.WARN if name in WARNINGS else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckEvaluation(asset_key=asset, check_name=name, passed=passed, severity=severity, metadata=figures)
