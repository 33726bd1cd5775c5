"""The first request of a process that reads a list: the stored next one, or page one again."""

from dataclasses import replace

import httpx
from sqlalchemy import Connection

from import_pipeline.importer.discovery.checkpoint import Basis, Checkpoint
from import_pipeline.importer.discovery.list_page import first_request
from import_pipeline.importer.discovery.next_page import absolute, is_numbered
from import_pipeline.importer.discovery.stored_request import load_request, print_of
from import_pipeline.importer.discovery.stored_versions import fingerprint_of_version, forget_outdated_versions
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.redaction import redact
from import_pipeline.tracking import events
from import_pipeline.tracking.leases import write

#: Event: the list is read again from page 1, in the same import.
LIST_RESTARTED = "list_restarted"


async def resume(context: ImportContext) -> tuple[Checkpoint, httpx.Request | None]:
    """Return the checkpoint to resume at, and the request for its next page; None if that is page one.

    A checkpoint is invalid for another page size, another address or another list. Then the list is read from page one,
    and an event says so.
    """
    checkpoint = Checkpoint.read(context.row.checkpoint)
    await forget_outdated_versions(context, checkpoint)
    if checkpoint.complete or not checkpoint.page:
        return checkpoint, None
    difference = (
        checkpoint.basis.difference(basis_of(context)) if checkpoint.basis else "it was stored by another version"
    )
    if difference is not None:
        return await restart(context, checkpoint.restarted(), difference), None
    request = _next_request(context, checkpoint)
    if request is None:
        reason = "the request for its next page cannot be stored, since it holds a secret that is in no setting"
        return await restart(context, checkpoint.restarted(), reason), None
    return replace(checkpoint, basis=basis_of(context)), request


def _next_request(context: ImportContext, checkpoint: Checkpoint) -> httpx.Request | None:
    if is_numbered(context.source):  # built again, since it may hold a signature or the time
        return absolute(context, first_request(context.source, checkpoint.page + 1))
    if checkpoint.next_request is None:
        return None
    return load_request(checkpoint.next_request, context.api.secrets, context.api.client.base_url)


def basis_of(context: ImportContext) -> Basis:
    """Return the conditions of a checkpoint, by the source's current settings and code."""
    first = absolute(context, first_request(context.source))
    return Basis(
        per_page=context.source.per_page,
        base=redact(str(context.api.client.base_url)),
        first=print_of(first, context.api.secrets, context.clock.now()),
        versions=fingerprint_of_version(context.source),
    )


async def restart(context: ImportContext, checkpoint: Checkpoint, reason: str) -> Checkpoint:
    """Store the checkpoint before page one, and note why the list is read again. Return the checkpoint."""

    def store(connection: Connection) -> None:
        now = context.clock.now()
        write(connection, context.lease, now, checkpoint=checkpoint.dump())
        sentence = f"The list is read again from page 1: {reason}."
        events.note(connection, context.row.id, now, LIST_RESTARTED, sentence)

    await context.write(store)
    return checkpoint
