"""Reasons for responses that were not read."""

from http import HTTPStatus

import httpx

from import_pipeline.contracts import ImportSource
from import_pipeline.contracts.hooks import label_of
from import_pipeline.errors import HookFailed
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.user_code.declared_paths import path_of_items
from import_pipeline.ratelimit import BodyRefused
from import_pipeline.redaction import redact
from import_pipeline.rules.responses.status_phrases import phrase
from import_pipeline.settings import variable_prefix
from import_pipeline.tracking.lists.found_paths import has_listed


def describe_refused_body(context: ImportContext, error: BodyRefused) -> str:
    """Return the reason for a refused body, and the setting that would allow it."""
    setting, depth = f"{variable_prefix(context.source.name)}MAX_BODY", label_of(context.source, "max_depth")
    return f"{error}. If this is normal for this API, raise {setting} or {depth}"


def describe_missing_list(source: ImportSource, response: httpx.Response, hook: str = "list_request") -> str | None:
    """Return the reason for a first list page that does not exist (404 or 410); None for other statuses.

    The address of the list is wrong then, so the request is named, with its secrets masked.
    """
    if response.status_code not in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        return None
    request = _described(response.request)
    setting = f"{variable_prefix(source.name)}BASE_URL"
    return f"{request} answers {phrase(response.status_code)}: check {setting} and {source.hook_words.get(hook, hook)}"


async def describe_wrong_path(context: ImportContext, response: httpx.Response, problem: HookFailed) -> str | None:
    """Return the reason for a first list page that lacks a declared path which no import has found yet.

    None for other problems, and for a path that an import has found: a later try may find it again.
    """
    path = path_of_items(context.source) if problem.lacks_path else None
    if path is None or await context.write(has_listed, context.source.name, path):
        return None
    return f"{problem}; {_described(response.request)} answers so, and no import has found that list"


def _described(request: httpx.Request) -> str:
    return f"{request.method} {redact(str(request.url))}"
