"""The same figures for programs: JSON, and Prometheus' text format."""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from import_pipeline.importer.monitoring.queries import import_details
from import_pipeline.importer.monitoring.queries import list_imports as look_at_all
from import_pipeline.importer.monitoring.view import as_json
from import_pipeline.panel.context import Panel, panel_of
from import_pipeline.panel.query import Query


def list_imports(request: Request) -> Response:
    """A page of imports: the list's own parameters; a program is told of those that make no sense."""
    panel = panel_of(request)
    sources = [source.name for source in panel.installation.sources]
    if problem := Query.problem(request.query_params, sources):
        raise HTTPException(400, problem)
    query = Query.read(request.query_params, sources)
    listing = look_at_all(
        panel.installation,
        query.filter,
        panel.usage_reader,
        sort=query.sort,
        descending=query.descending,
        page=query.page,
    )
    told = {"total": listing.total, "page": query.page, "imports": [as_json(view) for view in listing.views]}
    return JSONResponse(_masked(panel, told))


def one_import(request: Request) -> Response:
    """One import with its forecast, permits, failures by reason and events."""
    panel = panel_of(request)
    look = import_details(panel.installation, request.path_params["import_id"], panel.usage_reader)
    told = as_json(look.view, look.forecast) | {
        "tiers": [{"amount": tier.amount, "seconds": tier.seconds, "used": tier.used} for tier in look.usage.tiers]
        if look.usage
        else None,
        "failures": [
            {"reason": group.reason, "count": group.count, "waiting": group.waiting, "example": group.example}
            for group in look.failure_groups
        ],
        "events": [{"at": at.isoformat(), "action": action, "message": said} for at, action, said in look.events],
    }
    return JSONResponse(_masked(panel, told))


def _masked(panel: Panel, value: Any) -> Any:
    """The same without secrets in any text."""
    if isinstance(value, str):
        return panel.masked(value)
    if isinstance(value, dict):
        return {name: _masked(panel, each) for name, each in value.items()}
    return [_masked(panel, each) for each in value] if isinstance(value, list) else value
