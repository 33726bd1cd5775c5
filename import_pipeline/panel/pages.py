"""The pages that people read. Each is a few lines: look, make the context, draw."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from import_pipeline.errors import ImportNotFound, InvalidTransition, Unavailable, UsageError
from import_pipeline.importer.control.rescheduling import next_slot
from import_pipeline.importer.monitoring.queries import import_details, list_imports
from import_pipeline.panel.context import panel_of
from import_pipeline.panel.query import Query
from import_pipeline.panel.security import FOR_PROGRAMS, local_path
from import_pipeline.panel.views import import_page, list_page, why_not

#: Only Dagster knows whether one does, and the panel does without Dagster.
DAEMON = "Where Dagster's daemon runs"
#: What is said after an action; the address names one of these, never a text.
DONE: Mapping[str, str] = {
    "new": f"An extra import is asked for. {DAEMON}, it starts within seconds, once no other one of the source runs.",
    "reschedule": f"The next scheduled import is asked to start now. {DAEMON}, it does so within seconds.",
    "already": "That was requested already: one import starts, and nothing was added.",
    "cancel": "The import is cancelled. One that is worked on ends within two seconds; what it imported is kept.",
    "resume": "The pause of the API is lifted. One request tries first; if it is refused, all pause again.",
    "retry": f"This import retries what the other one has left. {DAEMON}, it starts within seconds.",
    "delete": "The import is deleted. What it imported stays.",
    "cancel-already": "The import was cancelled already: nothing was changed.",
    "resume-already": "The API is not paused (any more): nothing was changed.",
    "retry-already": "This import retries what the other one has left already: nothing was added.",
    "delete-already": "The import was deleted already: nothing was changed.",
}


def show_list(request: Request) -> Response:
    """All imports."""
    panel = panel_of(request)
    sources = [source.name for source in panel.installation.sources]
    query = Query.read(request.query_params, sources)
    listing = panel.look(
        request,
        lambda: list_imports(
            panel.installation,
            query.filter,
            panel.usage_reader,
            sort=query.sort,
            descending=query.descending,
            page=query.page,
        ),
    )
    return panel.draw(request, "list.html", list_page(listing, query, sources) | _said(request))


def show_import(request: Request) -> Response:
    """One import."""
    panel = panel_of(request)
    import_id = request.path_params["import_id"]
    look = panel.look(request, lambda: import_details(panel.installation, import_id, panel.usage_reader))
    context = import_page(look, panel.run_url(look.view.row.dagster_run_id), panel.installation.clock.now())
    return panel.draw(request, "import.html", context | _said(request))


def confirm_run(request: Request) -> Response:
    """Which source, NEW or RESCHEDULE: the explanation of each, and the button."""
    panel = panel_of(request)
    installation = panel.installation
    now = installation.clock.now()
    with installation.database.read() as connection:  # the form carries the slots that its reader sees
        sources = [(each.name, next_slot(connection, each, now)) for each in installation.sources]
    wanted = request.query_params.get("source")
    chosen = wanted if wanted in dict(sources) else next(iter(dict(sources)), None)
    return panel.draw(request, "run.html", {"sources": sources, "chosen": chosen})


def confirm(request: Request) -> Response:
    """Ask whether an import shall be cancelled, retried or deleted, or its API's pause lifted."""
    panel = panel_of(request)
    look = import_details(panel.installation, request.path_params["import_id"], panel.usage_reader)
    action = request.path_params["action"]
    if action not in {"cancel", "retry", "delete", "resume"}:
        raise HTTPException(404)
    context = {"view": look.view, "row": look.view.row, "action": action, "unfinished": look.unfinished}
    reason = why_not(action, look, panel.installation.clock.now())
    return panel.draw(request, "confirm.html", context | {"why_not": reason})


def login(request: Request) -> Response:
    """Ask for the token."""
    wanted = local_path(request.query_params.get("next", "/"))
    return panel_of(request).draw(request, "login.html", {"wanted": wanted, "failed": False, "can_log_out": False})


def _said(request: Request) -> dict[str, Any]:
    return {"said": DONE.get(request.query_params.get("done", ""), "")}


def _problem(request: Request, status: int, sentence: str) -> Response:
    panel = panel_of(request)
    sentence = panel.masked(sentence)
    if request.url.path.startswith(FOR_PROGRAMS):
        return JSONResponse({"error": sentence}, status)
    return panel.draw(request, "problem.html", {"status": status, "sentence": sentence}, status)


def _of_http(request: Request, error: Exception) -> Response:
    problem = cast(HTTPException, error)
    sentence = "There is no such page." if problem.status_code == 404 else problem.detail
    return _problem(request, problem.status_code, sentence)


def _not_found(request: Request, error: Exception) -> Response:
    return _problem(request, 404, "There is no such import; it may have been deleted.")


def _conflict(request: Request, error: Exception) -> Response:
    return _problem(request, 409, str(error))


def _unavailable(request: Request, error: Exception) -> Response:
    return _problem(request, 503, str(error))


#: The page for each error of ours that a look or an action can raise.
PROBLEMS: Mapping[Any, Callable[[Request, Exception], Response]] = {
    HTTPException: _of_http,
    ImportNotFound: _not_found,
    UsageError: _conflict,
    InvalidTransition: _conflict,
    Unavailable: _unavailable,
}
