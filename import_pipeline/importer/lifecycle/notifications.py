"""Send notices of imports that failed, are incomplete or are blocked: to the source's `notify`, or to a web address.

The events are the queue, so imports that the sensor or another process has ended are included. Notices never delay or
fail an import: they are sent after it ends, with a short timeout.
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
from import_pipeline.tracking.notifications import PendingEvent
from import_pipeline.wording import visible

#: Timeout for sending one notice; a hook that has not returned by then is no longer awaited.
SECONDS = 4.0


def send_notices(installation: Installation, source: ImportSource, seconds: float = SECONDS) -> int:
    """Send the notices that are due, up to the first failure; return how many were sent. Raises DatabaseUnavailable.

    A notice is sent once. If a process dies between sending it and recording that, it is sent twice, with the same id.
    """
    if not source.notify_url and type(source).notify is ImportSource.notify:
        return 0
    with installation.database.read() as connection:
        waiting = notifications.due(connection, source.name, installation.clock.now())
    sent = 0
    for event in waiting:
        begun = replace(event, delivery=event.delivery.begin(installation.clock.now()))
        if not _move(installation, event, begun.delivery):
            continue  # another process sends it
        problem = _deliver(source, _notice(source, event), seconds)
        more = {} if problem is None else {"notice_problem": problem}
        ended = begun.delivery.end(installation.clock.now(), delivered=problem is None)
        _move(installation, begun, ended, **more)
        if problem is not None:
            break
        sent += 1
    return sent


def _move(installation: Installation, event: PendingEvent, mark: Delivery, **more: str) -> bool:
    return installation.transact(lambda connection: notifications.update_delivery(connection, event, mark, **more))


def _notice(source: ImportSource, event: PendingEvent) -> Notice:
    return Notice(
        id=f"{source.name}-{event.id}",
        occasion=OCCASIONS[event.action].value,
        source=source.name,
        import_id=event.import_id,
        reason=visible(redact(event.message)),
        at=event.at,
    )


def _deliver(source: ImportSource, notice: Notice, seconds: float) -> str | None:
    """Send a notice. Return the problem, without secrets of the address or of a hook's error; None if it was sent."""
    problems = [f"did not return within {seconds:g} s"]

    def send() -> None:
        try:
            call_hook(source, "notify", notice, returns=ANYTHING)
            problem = _post(source.notify_url, notice, seconds) if source.notify_url else None
        except HookFailed as error:
            problem = type(error.__cause__).__name__ if error.__cause__ else "a result that nothing awaits"
        except Exception as error:  # noqa: BLE001 - an address may fail in any way
            problem = type(error).__name__
        problems[:] = [] if problem is None else [problem]

    thread = threading.Thread(target=send, name="notify", daemon=True)
    thread.start()
    thread.join(seconds)
    return problems[0] if problems else None


def _post(url: str, notice: Notice, seconds: float) -> str | None:
    """Post a notice as JSON. The bare transport follows no redirect and does not log the address."""
    headers = {"Idempotency-Key": notice.id, "User-Agent": "import-pipeline"}
    extensions = {"timeout": httpx.Timeout(seconds).as_dict()}
    request = httpx.Request("POST", url, json=notice.as_json(), headers=headers, extensions=extensions)
    with httpx.HTTPTransport() as transport:
        response = transport.handle_request(request)
        response.close()  # its body is not read
    return None if response.is_success else f"the address answers {response.status_code}"
