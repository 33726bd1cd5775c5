"""The pages of the panel. Each reads the data, makes the context and renders the template."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from import_pipeline.errors import ImportNotFound, InvalidTransition, Unavailable, UsageError
from import_pipeline.importer.control.rescheduling import next_slot
from import_pipeline.importer.control.scheduling import upcoming_slots_of
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.monitoring.queries import import_details, list_imports
from import_pipeline.importer.monitoring.sources import ItemDetails, find_items, source_details
from import_pipeline.panel.context import panel_of
from import_pipeline.panel.query import PAGE_NUMBER, Query
from import_pipeline.panel.security import FOR_PROGRAMS, local_path
from import_pipeline.panel.views import import_page, list_page, source_page, why_not
from import_pipeline.rules.external_ids import LONGEST_ID, is_external_id
from import_pipeline.tracking.requests import outcome_of

#: Slots that a source's page shows.
SHOWN_SLOTS = 6
#: Only Dagster knows whether its daemon runs, and the panel does not import Dagster.
DAEMON = "If Dagster's daemon runs"
#: The sentence after an action. The address contains its key, never a text.
DONE: Mapping[str, str] = {
    "new": f"Extra import requested. {DAEMON}, it starts within seconds, or when the running one ends.",
    "reschedule": f"Requested: the next scheduled import starts now. {DAEMON}, it does so within seconds.",
    "already": "This was requested already. One import starts; nothing was added.",
    "cancel": "Cancelling: the import stops within two seconds. Imported items are kept.",
    "resume": "The pause of the API is lifted. One request goes first; if it is refused, all pause again.",
    "retry": f"This import retries the other one. {DAEMON}, it starts within seconds.",
    "again": f"This import fetches chosen items again. {DAEMON}, it starts within seconds.",
    "delete": "Import deleted. Imported rows stay.",
    "cancel-already": "The import is already cancelled. Nothing was changed.",
    "resume-already": "The API is no longer paused. Nothing was changed.",
    "retry-already": "This import already retries the other one. Nothing was added.",
    "again-already": "This import already fetches the same items. Nothing was added.",
    "delete-already": "The import was already deleted. Nothing was changed.",
}
#: The sentence once the request has its import.
MADE: Mapping[str, str] = {
    "new": "The extra import is created.",
    "reschedule": "The next scheduled import is moved to now.",
}


def show_list(request: Request) -> Response:
    """Render the list of imports."""
    panel = panel_of(request)
    sources = [source.name for source in panel.installation.sources]
    query = Query.read(request.query_params, sources)
    listing = panel.read(
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
    return panel.render(request, "list.html", list_page(listing, query, sources) | _notice_of_request(request))


def show_import(request: Request) -> Response:
    """Render the page of one import."""
    panel = panel_of(request)
    import_id = request.path_params["import_id"]
    found = panel.read(request, lambda: import_details(panel.installation, import_id, panel.usage_reader))
    context = import_page(found, panel.run_url(found.view.row.dagster_run_id), panel.installation.clock.now())
    return panel.render(request, "import.html", context | _notice(request))


def show_source(request: Request) -> Response:
    """Render the page of one source: its schedule, its limits, its latest imports."""
    panel = panel_of(request)
    name, installation = request.path_params["source"], panel.installation
    if installation.listed(name) is None:
        raise HTTPException(404)
    found = panel.read(request, lambda: source_details(installation, name, panel.usage_reader))
    now = installation.clock.now()
    with installation.database.read() as connection:
        slots = upcoming_slots_of(connection, installation.source_to_read(name), now, SHOWN_SLOTS)
    return panel.render(request, "source.html", source_page(found, slots, now) | _notice(request))


def show_item(request: Request) -> Response:
    """Render the history of one item, in each source that knows it."""
    panel = panel_of(request)
    source = request.query_params.get("source")
    external_id, found = _found(panel.installation, request.query_params.get("id", ""), source)
    is_listed = source is None or panel.installation.listed(source) is not None
    context = {"external_id": external_id, "found": found, "asked_source": source, "is_listed": is_listed}
    return panel.render(request, "item.html", context)


def _found(installation: Installation, given: str, source: str | None) -> tuple[str, list[ItemDetails]]:
    """Return the id, and the item of each source that knows it. A pasted id may have spaces around it."""
    for external_id in dict.fromkeys((given, given.strip())):
        if is_external_id(external_id):
            found = find_items(installation, external_id, source)
            if found:
                return external_id, found
    return given.strip()[:LONGEST_ID], []


def confirm_run(request: Request) -> Response:
    """Render the form that requests an import: source, and NEW or RESCHEDULE."""
    panel = panel_of(request)
    installation = panel.installation
    now = installation.clock.now()
    with installation.database.read() as connection:  # the form carries the slots that its reader saw
        sources = [(each.name, next_slot(connection, each, now)) for each in installation.sources]
    wanted = request.query_params.get("source")
    chosen = wanted if wanted in dict(sources) else next(iter(dict(sources)), None)
    has_bookmarks = any(each.incremental is not None for each in installation.sources)
    return panel.render(request, "run.html", {"sources": sources, "chosen": chosen, "has_bookmarks": has_bookmarks})


def confirm(request: Request) -> Response:
    """Render the confirmation of an action on an import: cancel, retry, delete, or lift the pause."""
    panel = panel_of(request)
    found = import_details(panel.installation, request.path_params["import_id"], panel.usage_reader)
    action = request.path_params["action"]
    if action not in {"cancel", "retry", "delete", "resume"}:
        raise HTTPException(404)
    like = request.query_params.get("like") if action == "retry" else None
    alike = next((group for group in found.failure_groups if group.example == like), None)
    context = {"view": found.view, "row": found.view.row, "action": action, "leftovers": found.leftovers}
    context["alike"] = alike
    reason = why_not(action, found, panel.installation.clock.now())
    return panel.render(request, "confirm.html", context | {"why_not": reason})


def login(request: Request) -> Response:
    """Render the login form."""
    wanted = local_path(request.query_params.get("next", "/"))
    return panel_of(request).render(request, "login.html", {"wanted": wanted, "failed": False, "can_log_out": False})


def _notice(request: Request) -> dict[str, Any]:
    return {"notice": DONE.get(request.query_params.get("done", ""), ""), "notice_import": None}


def _notice_of_request(request: Request) -> dict[str, Any]:
    """Return the sentence after a request for a run: its outcome with a link to the import, as soon as it has one."""
    notice, number = _notice(request), request.query_params.get("request", "")
    if not notice["notice"] or not PAGE_NUMBER.fullmatch(number):
        return notice
    with panel_of(request).installation.database.read() as connection:
        found = outcome_of(connection, int(number))
    if found is None or found.is_waiting:
        return notice
    made = MADE.get(request.query_params["done"], notice["notice"])
    says_why = found.import_id is None or found.has_changed_nothing
    return {"notice": (found.sentence if says_why else made) or made, "notice_import": found.import_id}


def _problem(request: Request, status: int, sentence: str) -> Response:
    panel = panel_of(request)
    sentence = panel.masked(sentence)
    if request.url.path.startswith(FOR_PROGRAMS):
        return JSONResponse({"error": sentence}, status)
    return panel.render(request, "problem.html", {"status": status, "sentence": sentence}, status)


def _of_http(request: Request, error: Exception) -> Response:
    problem = cast(HTTPException, error)
    sentence = "This page does not exist." if problem.status_code == 404 else problem.detail
    return _problem(request, problem.status_code, sentence)


def _not_found(request: Request, error: Exception) -> Response:
    return _problem(request, 404, "This import does not exist. It may have been deleted.")


def _conflict(request: Request, error: Exception) -> Response:
    return _problem(request, 409, str(error))


def _unavailable(request: Request, error: Exception) -> Response:
    return _problem(request, 503, str(error))


#: The page for each error that reading or acting can raise.
PROBLEMS: Mapping[Any, Callable[[Request, Exception], Response]] = {
    HTTPException: _of_http,
    ImportNotFound: _not_found,
    UsageError: _conflict,
    InvalidTransition: _conflict,
    Unavailable: _unavailable,
}
