"""The figures of imports as JSON, for programs."""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from import_pipeline.importer.monitoring import queries
from import_pipeline.importer.monitoring.view import as_json
from import_pipeline.panel.context import Panel, panel_of
from import_pipeline.panel.query import Query


def health(request: Request) -> Response:
    """Return `{"status": "ok"}`: the panel answers. It needs no login and reads nothing."""
    return JSONResponse({"status": "ok"})


def list_imports(request: Request) -> Response:
    """Return a page of imports, with the parameters of the list page; 400 for an invalid one."""
    panel = panel_of(request)
    sources = [source.name for source in panel.installation.sources]
    if problem := Query.problem(request.query_params, sources):
        raise HTTPException(400, problem)
    query = Query.read(request.query_params, sources)
    listing = queries.list_imports(
        panel.installation,
        query.filter,
        panel.usage_reader,
        sort=query.sort,
        descending=query.descending,
        page=query.page,
    )
    values = {"total": listing.total, "page": query.page, "imports": [as_json(view) for view in listing.views]}
    return JSONResponse(_masked(panel, values))


def one_import(request: Request) -> Response:
    """Return one import with forecast, permits, failures by reason, and events."""
    panel = panel_of(request)
    found = queries.import_details(panel.installation, request.path_params["import_id"], panel.usage_reader)
    values = as_json(found.view, found.forecast) | {
        "tiers": [
            {"amount": tier.amount, "seconds": tier.seconds, "used": tier.used}
            | ({"endpoint": tier.endpoint} if tier.endpoint else {})
            for tier in found.usage.tiers
        ]
        if found.usage
        else None,
        "failures": [
            {"reason": group.reason, "count": group.count, "waiting": group.waiting, "example": group.example}
            for group in found.failure_groups
        ],
        "failed_slices": [
            {"key": each.key, "reason": each.reason, "tries": each.failure_count} for each in found.failed_slices
        ],
        "events": [{"at": at.isoformat(), "action": name, "message": message} for at, name, message in found.events],
    }
    return JSONResponse(_masked(panel, values))


def _masked(panel: Panel, value: Any) -> Any:
    """Return the value with all secrets in its texts masked."""
    if isinstance(value, str):
        return panel.masked(value)
    if isinstance(value, dict):
        return {name: _masked(panel, each) for name, each in value.items()}
    return [_masked(panel, each) for each in value] if isinstance(value, list) else value
