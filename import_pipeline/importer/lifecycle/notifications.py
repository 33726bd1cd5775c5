"""Telling people of imports that failed, are incomplete or are blocked: by the source's `notify`, or to a web address.

The events themselves are the queue, so an import that the sensor or another process has ended is told of as well. No
import waits for a telling, nor suffers from one: it is done when the import has ended, within seconds or not at all.
"""

import threading
from dataclasses import replace

import httpx

from import_pipeline.contracts import ImportSource, Notice
from import_pipeline.errors import HookFailed
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.user_code.hooks import ANYTHING, call_hook
from import_pipeline.redaction import redact
from import_pipeline.rules.notifications import OCCASIONS, Delivery
from import_pipeline.tracking import notifications
from import_pipeline.tracking.notifications import Event
from import_pipeline.wording import visible

#: For the whole telling of one event; what has not returned by then is left to itself.
SECONDS = 4.0


def send_notices(installation: Installation, source: ImportSource, seconds: float = SECONDS) -> int:
    """Tell what is due, until something cannot be told; returns how many events were told. Raises DatabaseUnavailable.

    An event is told once, except where a process dies between the telling and its note of it: then twice, with the
    same id.
    """
    if not source.notify_url and type(source).notify is ImportSource.notify:
        return 0
    with installation.database.read() as connection:
        waiting = notifications.due(connection, source.name, installation.clock.now())
    told = 0
    for event in waiting:
        begun = replace(event, mark=event.mark.begin(installation.clock.now()))
        if not _move(installation, event, begun.mark):
            continue  # another process tells it
        problem = _deliver(source, _notice(source, event), seconds)
        more = {} if problem is None else {"notice_problem": problem}
        ended = begun.mark.end(installation.clock.now(), told=problem is None)
        _move(installation, begun, ended, **more)
        if problem is not None:
            break
        told += 1
    return told


def _move(installation: Installation, event: Event, mark: Delivery, **more: str) -> bool:
    return installation.transact(lambda connection: notifications.move(connection, event, mark, **more))


def _notice(source: ImportSource, event: Event) -> Notice:
    return Notice(
        id=f"{source.name}-{event.id}",
        occasion=OCCASIONS[event.action].value,
        source=source.name,
        import_id=event.import_id,
        reason=visible(redact(event.message)),
        at=event.at,
    )


def _deliver(source: ImportSource, notice: Notice, seconds: float) -> str | None:
    """The problem, without what the address or a hook's error may give away; None when it is told."""
    problems = [f"did not return within {seconds:g} s"]

    def tell() -> None:
        try:
            call_hook(source, "notify", notice, returns=ANYTHING)
            problem = _post(source.notify_url, notice, seconds) if source.notify_url else None
        except HookFailed as error:
            problem = type(error.__cause__).__name__ if error.__cause__ else "a result that nothing awaits"
        except Exception as error:  # noqa: BLE001 - an address may fail in any way, and no import suffers from it
            problem = type(error).__name__
        problems[:] = [] if problem is None else [problem]

    thread = threading.Thread(target=tell, name="notify", daemon=True)
    thread.start()
    thread.join(seconds)
    return problems[0] if problems else None


def _post(url: str, notice: Notice, seconds: float) -> str | None:
    """Send it as JSON. Over the bare transport: no redirect is followed, and nobody logs the address."""
    headers = {"Idempotency-Key": notice.id, "User-Agent": "import-pipeline"}
    extensions = {"timeout": httpx.Timeout(seconds).as_dict()}
    request = httpx.Request("POST", url, json=notice.as_json(), headers=headers, extensions=extensions)
    with httpx.HTTPTransport() as transport:
        response = transport.handle_request(request)
        response.close()  # what it says is of no interest
    return None if response.is_success else f"the address answers {response.status_code}"
