"""The first request of a process that reads a list: the stored next one, or page one again."""

from dataclasses import replace

import httpx
from sqlalchemy import Connection

from import_pipeline.importer.discovery.checkpoint import Basis, Checkpoint
from import_pipeline.importer.discovery.list_page import first_request
from import_pipeline.importer.discovery.next_page import absolute, is_numbered
from import_pipeline.importer.discovery.stored_request import load_request, print_of
from import_pipeline.importer.discovery.stored_versions import forget_versions_of_another_meaning, meaning_of
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.redaction import redact
from import_pipeline.tracking import events
from import_pipeline.tracking.leases import write

#: The list is read again from page 1, in the same import.
LIST_RESTARTED = "list_restarted"


async def resume(work: ImportContext) -> tuple[Checkpoint, httpx.Request | None]:
    """Return the checkpoint to resume at, and the request for its next page; None if that is page one.

    A checkpoint is worth nothing under another page size, at another address or in another list: then the list is read
    from page one, and an event says so.
    """
    checkpoint = Checkpoint.read(work.row.checkpoint)
    await forget_versions_of_another_meaning(work, checkpoint)
    if checkpoint.complete or not checkpoint.page:
        return checkpoint, None
    difference = checkpoint.basis.difference(basis_of(work)) if checkpoint.basis else "it was stored by another version"
    if difference is not None:
        return await restart(work, checkpoint.restarted(), difference), None
    request = _next_request(work, checkpoint)
    if request is None:
        reason = "the request for its next page cannot be stored, since it holds a secret that is in no setting"
        return await restart(work, checkpoint.restarted(), reason), None
    return replace(checkpoint, basis=basis_of(work)), request


def _next_request(work: ImportContext, checkpoint: Checkpoint) -> httpx.Request | None:
    if is_numbered(work.source):  # built anew, since it may hold a signature or the time
        return absolute(work, first_request(work.source, checkpoint.page + 1))
    if checkpoint.next_request is None:
        return None
    return load_request(checkpoint.next_request, work.api.secrets, work.api.client.base_url)


def basis_of(work: ImportContext) -> Basis:
    """Return what a checkpoint of the source depends on, by its settings and code as they are now."""
    first = absolute(work, first_request(work.source))
    return Basis(
        per_page=work.source.per_page,
        base=redact(str(work.api.client.base_url)),
        first=print_of(first, work.api.secrets, work.clock.now()),
        versions=meaning_of(work.source),
    )


async def restart(work: ImportContext, checkpoint: Checkpoint, reason: str) -> Checkpoint:
    """Store the checkpoint before page one, and say why the list is read again. Returns the checkpoint."""

    def store(connection: Connection) -> None:
        now = work.clock.now()
        write(connection, work.lease, now, checkpoint=checkpoint.dump())
        sentence = f"The list is read again from page 1: {reason}."
        events.note(connection, work.row.id, now, LIST_RESTARTED, sentence)

    await work.write(store)
    return checkpoint
