"""The figures of an import as Dagster metadata: the same keys everywhere, with the unit in the key."""

from typing import Any

import dagster as dg
from sqlalchemy import Table

from import_pipeline.contracts import ImportSource
from import_pipeline.defs.links import Links
from import_pipeline.importer.monitoring.view import Forecast, ImportView
from import_pipeline.importer.runtime.progress import StoredItem
from import_pipeline.importer.summary import ImportSummary


def of_summary(summary: ImportSummary) -> dict[str, dg.MetadataValue[Any]]:
    """Return the figures of an ended import, the most important first: the run page shows only six."""
    numbers = {
        "items_imported": summary.items_imported_count,
        "items_failed": summary.items_failed_count,
        "duration_seconds": summary.duration_seconds,
        "ideal_ratio": summary.ideal_ratio,
        "rate_limit_hits": summary.rate_limit_hits_count,
        "items_unchanged": summary.items_unchanged_count,
        "items_skipped": summary.items_skipped_count,
        "items_gone": summary.items_gone_count,
        "items_total": summary.items_count,
        "requests": summary.requests_count,
        "sleeps": summary.rate_limit_sleeps_count,
        "sleeping_seconds": summary.total_sleep_seconds,
        "active_seconds": summary.active_seconds,
        "retry_wait_seconds": summary.retry_wait_seconds or None,
        "ideal_seconds": summary.ideal_seconds,
        "efficiency_percent": summary.efficiency,
        "items_per_second": _rate(summary),
        "import_id": summary.import_id,
    } | _slices(summary)
    metadata = {key: _number(value) for key, value in numbers.items() if value is not None}
    for key in ("since", "bookmark", "incomplete_reason", "failure_reason"):
        if text := getattr(summary, key):
            metadata[key] = dg.MetadataValue.text(text)
    return metadata


def _slices(summary: ImportSummary) -> dict[str, int]:
    """Return the figures of the slices; none if the source has one list."""
    if summary.slices_count is None:
        return {}
    return {
        "slices_total": summary.slices_count,
        "slices_completed": summary.slices_completed_count,
        "slices_failed": summary.slices_failed_count,
    }


def summary_table(summary: ImportSummary) -> dg.MetadataValue[Any]:
    """Return the figures as a Markdown table."""
    rows = [f"| {name.replace('_', ' ')} | {value} |" for name, value in summary.as_json().items() if value is not None]
    return dg.MetadataValue.md("\n".join(["| figure | value |", "| --- | --- |", *rows]))


def _number(value: float) -> dg.MetadataValue[Any]:
    return dg.MetadataValue.int(value) if isinstance(value, int) else dg.MetadataValue.float(round(value, 3))


def _rate(summary: ImportSummary) -> float | None:
    done = summary.items_right
    return round(done / summary.duration_seconds, 2) if summary.duration_seconds else None


def of_table(name: str, table: Table, uri: str) -> dict[str, Any]:
    """Return the name, address and columns of a table. The address contains no password."""
    return {
        "dagster/table_name": name,
        "dagster/uri": uri,
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn(
                    name=column.name,
                    type=str(column.type).lower(),
                    description=column.doc or column.comment,
                    constraints=dg.TableColumnConstraints(
                        nullable=bool(column.nullable),
                        unique=bool(column.unique),
                        other=["primary key"] if column.primary_key else [],
                    ),
                )
                for column in table.columns
            ]
        ),
    }


def link_to(links: Links, import_id: int) -> dict[str, dg.MetadataValue[Any]]:
    """Return a link to the import's page in the panel."""
    return {"panel": dg.MetadataValue.url(links.import_page(import_id))}


def of_progress(view: ImportView, forecast: Forecast | None) -> dict[str, dg.MetadataValue[Any]]:
    """Return the figures of a running import. Keys that `of_summary()` has too mean the same."""
    figures = view.figures
    numbers = {
        "percent": view.percent,
        "items_imported": figures.items_imported_count,
        "items_failed": figures.items_failed_count,
        "items_skipped": figures.items_skipped_count,
        "items_gone": figures.items_gone_count,
        "items_per_second": view.items_per_second,
        "eta_seconds": forecast.eta_seconds if forecast else None,
        "rate_limit_hits": figures.rate_limit_hits_count,
        "sleeping_seconds": figures.total_sleep_seconds,
        "items_total": figures.items_count,
    } | _slices(figures)
    return {key: _number(value) for key, value in numbers.items() if value is not None}


def of_item(item: StoredItem, import_id: int) -> dict[str, dg.MetadataValue[Any]]:
    """Return the cost of importing one item. An item that came complete with the list needed no request."""
    numbers = {
        "tries": item.tries,
        "request_seconds": item.request_seconds,
        "http_status": item.http_status,
        "import_id": import_id,
    }
    return {key: _number(value) for key, value in numbers.items() if value is not None}


def of_source(source: ImportSource, links: Links) -> dict[str, Any]:
    """Return the declared values of a source."""
    return {
        "limits": source.limits_text or "none",
        "slots": str(source.timetable),
        "importable": source.model.__name__,
        "api": source.api,
        "panel": dg.MetadataValue.url(links.imports_of(source.name)),
    }
