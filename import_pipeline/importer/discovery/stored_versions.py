"""Forget stored versions if the source's `version()` or `revision` has changed since they were stored."""

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.contracts.hooks import label_of
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.user_code.fingerprints import meaning_of
from import_pipeline.rules.status import ImportKind
from import_pipeline.tracking import events, leases, source_items
from import_pipeline.tracking.lists import bookmarks, revisions

#: Events: all details are fetched again, once, since `version()` or `revision` has changed.
VERSIONS_FORGOTTEN, REVISION_CHANGED = "versions_forgotten", "revision_changed"


def fingerprint_of_version(source: ImportSource) -> str:
    """Return the fingerprint of what the source's `version()` means."""
    return meaning_of(source, "version")


async def forget_outdated_versions(context: ImportContext) -> None:
    """Forget the source's stored versions if `version()` or `revision` was different when they were stored.

    Each is stored with the result, so that a resume or a later import forgets nothing again.
    """
    now = fingerprint_of_version(context.source)

    def forget(connection: Connection) -> None:
        leases.hold(connection, context.lease, to_write=True)
        _follow_revision(connection, context)
        before = context.row.read_state.versions
        if before is None:
            before = source_items.last_read_state(connection, context.row).versions
        if before is None or before == now:
            return
        count = source_items.forget_versions(connection, context.source.name)
        if count:
            sentence = (
                f"The stored versions of {count:,} items are forgotten, since {label_of(context.source, 'version')} "
                "has changed: all details are fetched again, once."
            )
            events.note(connection, context.row.id, context.clock.now(), VERSIONS_FORGOTTEN, sentence, items=count)

    await context.write(forget)


def _follow_revision(connection: Connection, context: ImportContext) -> None:
    source, now = context.source, context.clock.now()
    before = revisions.of_source(connection, source.name)
    if before == source.revision or context.row.kind is ImportKind.INCREMENTAL:
        return  # one that began as incremental, before the code changed, leaves it to the next import
    revisions.store(connection, source.name, source.revision, import_id=context.row.id, now=now)
    bookmarks.forget(connection, source.name)  # also after an import with a limit, the next one reads the whole list
    if not source_items.has_items(connection, source.name):
        return  # the first import fetches all details anyway
    count = source_items.forget_versions(connection, source.name, etags=True)
    sentence = (
        f"{label_of(source, 'revision')} is {source.revision} and was {before}: all details are fetched again, once. "
        f"The stored versions of {count:,} items are forgotten; no row is deleted."
    )
    events.note(connection, context.row.id, now, REVISION_CHANGED, sentence, items=count, revision=source.revision)
