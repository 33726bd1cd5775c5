"""Retry what an ended import left failed or unfinished: all of it, one item, or the items of one reason."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import UsageError
from import_pipeline.importer.control.requests import check_has_ended, record_fulfilled
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.rules.status import UNENDED, Trigger
from import_pipeline.tracking import events, imports, items, scheduling
from import_pipeline.tracking.imports import ImportRow, NewImport
from import_pipeline.tracking.lists import leftovers
from import_pipeline.tracking.requests import NewRequest, RequestKind, attribution
from import_pipeline.wording import plural, visible

#: Most items of one reason that are imported again at once; their ids are stored with the import.
MAX_ALIKE = 5_000
#: Most imports that are compared with a request.
MAX_UNENDED = 100


@dataclass(frozen=True, kw_only=True)
class RetryAnswer:
    """The import that retries the items of another one."""

    row: ImportRow
    already: str | None = None  #: a sentence if an earlier request created it; then nothing was added


def retry(
    installation: Installation, import_id: int, *, by: str | None = None, reason: str | None = None
) -> RetryAnswer:
    """Schedule an import of the items and slices that an ended import left failed or undone; it is due now.

    If such an import is scheduled or running already, nothing is added. Raises ImportNotFound; UsageError if the import
    has not ended or left nothing.
    """
    now = installation.clock.now()

    def unit(connection: Connection) -> RetryAnswer:
        row = imports.get(connection, import_id, locked=True)  # the second of two calls finds the retry of the first
        check_has_ended(row)
        retry_id = scheduling.open_retry_of(connection, import_id)
        if retry_id is not None:
            already = f"Import {retry_id} already retries what import {import_id} left; nothing was added."
            return RetryAnswer(row=imports.get(connection, retry_id), already=already)
        left, listed = leftovers.left(connection, row), installation.listed(row.source)
        if listed is not None and not listed.is_sliced:
            left = replace(left, slices=0)
        if not left:
            raise UsageError(
                f"import {import_id} has nothing to retry: no item is failed or unfinished, "
                f"{'and no slice is unread, ' if row.slices_count else ''}"
                "except those that a later import has imported"
            )
        source = _listed_source(installation, row)
        refetch = bool(left.slices) and row.options.fetches_all  # its items have the versions of before
        new = new_import(source, Trigger.RETRY, retry_of=import_id, scheduled_at=now, by=by, refetch=refetch)
        request = NewRequest(
            source=row.source, kind=RequestKind.RETRY, import_id=import_id, requested_by=by, reason=reason
        )
        return _create(connection, new, request, now, f"retries {left.in_words} of import {import_id}")

    return installation.transact(unit)


def import_again(
    installation: Installation, source: ImportSource, external_ids: Sequence[str], *, by: str, reason: str | None = None
) -> RetryAnswer:
    """Schedule an import of chosen items; it is due now. If one of the same items has not ended, nothing is added.

    Raises UsageError if no items are given, or if one of them is a secret of the settings.
    """
    chosen, now = tuple(dict.fromkeys(filter(None, external_ids))), installation.clock.now()
    if not chosen:
        raise UsageError(f"{source.name}: no item is left to import again")

    def unit(connection: Connection) -> RetryAnswer:
        for row in imports.latest(connection, source=source.name, statuses=UNENDED, limit=MAX_UNENDED):
            if row.options.only == chosen:
                already = f"Import {row.id} already imports {_which(chosen)}; nothing was added."
                return RetryAnswer(row=row, already=already)
        new = new_import(source, Trigger.REQUEST, only=chosen, scheduled_at=now, by=by)
        request = NewRequest(source=source.name, kind=RequestKind.RETRY, requested_by=by, reason=reason)
        return _create(connection, new, request, now, f"imports {_which(chosen)} of {source.name} again")

    return installation.transact(unit)


def _create(connection: Connection, new: NewImport, request: NewRequest, now: datetime, purpose: str) -> RetryAnswer:
    """Create the import, and record the request that it fulfils; `purpose` ends the sentence about it."""
    made = imports.create(connection, new, now)
    outcome = f"Import {made.id} {purpose}."
    sentence = f"{outcome} Requested {attribution(request.requested_by, request.reason)}."
    events.note(connection, made.id, now, "import_requested", sentence)
    record_fulfilled(connection, request, now, outcome, made.id)
    return RetryAnswer(row=made)


def retry_alike(
    installation: Installation, import_id: int, external_id: str, *, by: str, reason: str | None = None
) -> RetryAnswer:
    """Schedule an import of the items that failed for the same reason as this one, at most MAX_ALIKE.

    Raises ImportNotFound; UsageError if the import has not ended, or if no such item is left.
    """
    with installation.database.read() as connection:
        row = imports.get(connection, import_id)
        check_has_ended(row)
        alike = items.failed_alike(connection, import_id, external_id, MAX_ALIKE)
    return import_again(installation, _listed_source(installation, row), alike, by=by, reason=reason)


def _which(external_ids: Sequence[str]) -> str:
    return f"item {visible(external_ids[0])}" if len(external_ids) == 1 else plural(len(external_ids), "item")


def _listed_source(installation: Installation, row: ImportRow) -> ImportSource:
    """Return the import's source. Raises UsageError if it is no longer listed."""
    source = installation.listed(row.source)
    if source is None:
        raise UsageError(
            f"import {row.id} belongs to the source {row.source}, which is no longer listed: "
            "list it in IMPORT_PIPELINE_SOURCES again, then retry"
        )
    return source
