"""A bookmark that the API no longer accepts: sync tokens and old positions expire."""

from http import HTTPStatus

import httpx
from sqlalchemy import Connection

from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.runtime.response_errors import describe_missing_list
from import_pipeline.redaction import redact
from import_pipeline.rules.responses.status_phrases import phrase
from import_pipeline.tracking import events
from import_pipeline.tracking.lists import bookmarks

#: Event: the API no longer accepts the bookmark, so that the next import is full.
EXPIRED = "bookmark_expired"
#: Statuses that may concern the bookmark, but as well the request: a person decides.
DOUBTFUL = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY})


async def describe_refused_list(context: ImportContext, response: httpx.Response, hook: str) -> str | None:
    """Return why a first list page is refused, and the remedy; None if the status says it all.

    410 for the changes since a bookmark means that it is too old (Google, Microsoft Graph). It is forgotten then: the
    next import reads the whole list.
    """
    usual = describe_missing_list(context.source, response, hook)
    since, status = context.source.since, response.status_code
    if hook != "changes_request" or since is None:
        return usual
    if status == HTTPStatus.GONE:
        forgotten = await context.write(_forget, context)
        then = "The next import reads the whole list" if forgotten else "A person has set another one meanwhile"
        return f"the API answers {phrase(status)}: it no longer accepts the bookmark {redact(since)}. {then}"
    if status not in DOUBTFUL:
        return usual
    command = f"import-pipeline bookmark {context.source.name} --reset"
    remedy = f"If it no longer accepts the bookmark {redact(since)}, reset it: {command}"
    return f"{usual or f'the API answers {phrase(status)}'}. {remedy}"


def _forget(connection: Connection, context: ImportContext) -> bool:
    """Forget the bookmark, unless a person has set it since the import began."""
    row = context.row
    if bookmarks.of_source(connection, row.source).revision != row.facts.bookmark_revision:
        return False
    bookmarks.forget(connection, row.source)
    sentence = "The API no longer accepts the bookmark: it is forgotten, and the next import reads the whole list."
    events.note(connection, row.id, context.clock.now(), EXPIRED, sentence, since=row.facts.since)
    return True
