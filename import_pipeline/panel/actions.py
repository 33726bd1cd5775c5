"""The actions of the panel: POST only, from its own forms, through the same functions as the command line."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from import_pipeline.importer.control import cancellation, deletion, requests, retries
from import_pipeline.importer.control.pauses import lift_pause
from import_pipeline.importer.control.rescheduling import parse_slot
from import_pipeline.panel.context import panel_of
from import_pipeline.panel.security import LOGIN, LOGIN_SECONDS, cookie, local_path, read_form
from import_pipeline.tracking import imports
from import_pipeline.tracking.requests import RequestKind

WRONG_TOKEN_SECONDS = 0.5  #: delay of the answer to a wrong token
Form = Mapping[str, str]


def action(execute: Callable[[Request, Form], str]) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that reads the panel's own form, executes it and redirects to the returned address."""

    async def endpoint(request: Request) -> Response:
        form = await read_form(request, panel_of(request).policy)
        return RedirectResponse(await run_in_threadpool(execute, request, form), 303)

    return endpoint


@action
def run(request: Request, form: Form) -> str:
    """Request a NEW import, or a RESCHEDULE of the next scheduled one."""
    installation = panel_of(request).installation
    source = installation.source(form.get("source", ""))
    kind = RequestKind.RESCHEDULE if form.get("mode") == RequestKind.RESCHEDULE else RequestKind.NEW
    options = {each: kind is RequestKind.NEW and form.get(each) == "yes" for each in ("full", "fresh", "refetch")}
    slot_at = parse_slot(form.get(f"slot:{source.name}")) if kind is RequestKind.RESCHEDULE else None
    asked = requests.request_import(
        installation, source, kind, **options, slot_at=slot_at, by=_who(request), reason=_reason(form)
    )
    return f"/?done={'already' if asked.already else kind}&request={asked.id}"


@action
def cancel(request: Request, form: Form) -> str:
    """Cancel a scheduled or running import."""
    import_id = request.path_params["import_id"]
    done = cancellation.cancel(panel_of(request).installation, import_id, by=_who(request), reason=_reason(form))
    return f"/imports/{import_id}?done={_named('cancel', already=done.already)}"


@action
def resume(request: Request, form: Form) -> str:
    """Lift the pause of an import's API."""
    installation, import_id = panel_of(request).installation, request.path_params["import_id"]
    with installation.database.read() as connection:
        row = imports.get(connection, import_id)
    lifted = lift_pause(installation, installation.source_to_read(row.source), by=_who(request))
    return f"/imports/{import_id}?done={_named('resume', already=lifted.paused_until is None)}"


@action
def retry(request: Request, form: Form) -> str:
    """Schedule an import of what another one left, or only of the items that failed like the one in the form."""
    installation, import_id = panel_of(request).installation, request.path_params["import_id"]
    if like := form.get("like"):
        retried = retries.retry_alike(installation, import_id, like, by=_who(request), reason=_reason(form))
    else:
        retried = retries.retry(installation, import_id, by=_who(request), reason=_reason(form))
    return f"/imports/{retried.row.id}?done={_named('retry', already=retried.already is not None)}"


@action
def import_item(request: Request, form: Form) -> str:
    """Schedule an import of one item."""
    installation = panel_of(request).installation
    source, external_id = installation.source(form.get("source", "")), form.get("id", "")
    made = retries.import_again(installation, source, [external_id], by=_who(request), reason=_reason(form))
    return f"/imports/{made.row.id}?done={_named('again', already=made.already is not None)}"


@action
def lift(request: Request, form: Form) -> str:
    """Lift the pause of a source's API."""
    installation, name = panel_of(request).installation, request.path_params["source"]
    lifted = lift_pause(installation, installation.source_to_read(name), by=_who(request))
    return f"/sources/{name}?done={_named('resume', already=lifted.paused_until is None)}"


@action
def delete(request: Request, form: Form) -> str:
    """Delete an ended import."""
    import_id = request.path_params["import_id"]
    done = deletion.delete(panel_of(request).installation, import_id, by=_who(request), reason=_reason(form))
    return f"/?done={_named('delete', already=done.already)}"


def _named(done: str, *, already: bool) -> str:
    """Return the key of the sentence to show afterwards."""
    return f"{done}-already" if already else done


def _who(request: Request) -> str:
    return panel_of(request).person(request)


def _reason(form: Form) -> str | None:
    return form.get("reason", "").strip()[:500] or None


async def log_in(request: Request) -> Response:
    """Set the login cookie if the token is right."""
    panel = panel_of(request)
    form = await read_form(request, panel.policy)
    wanted = local_path(form.get("next", "/"))
    clock = panel.installation.clock
    if not panel.policy.is_token(form.get("token", "").strip()):
        await clock.sleep(WRONG_TOKEN_SECONDS)
        return panel.render(request, "login.html", {"wanted": wanted, "failed": True, "can_log_out": False}, 403)
    answer = RedirectResponse(wanted, 303)
    until = int(clock.now().timestamp()) + LOGIN_SECONDS
    answer.headers.append("set-cookie", cookie(LOGIN, panel.policy.login_cookie(until), request.scope, LOGIN_SECONDS))
    return answer


async def log_out(request: Request) -> Response:
    """End the login for every copy of its cookie, and delete the cookie."""
    panel = panel_of(request)
    await read_form(request, panel.policy)
    now = panel.installation.clock.now()
    login = panel.policy.login_of(request.cookies, now.timestamp())
    if login is not None:
        await run_in_threadpool(panel.end_login, login, now)
    answer = RedirectResponse("/login", 303)
    answer.headers.append("set-cookie", cookie(LOGIN, "", request.scope, 0))
    return answer
