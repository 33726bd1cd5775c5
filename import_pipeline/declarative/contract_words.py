"""The contract's errors and the names of its hooks, in the words of a declaration."""

from collections.abc import Mapping

from import_pipeline.declarative.unfit import shown
from import_pipeline.declarative.words import Declaration
from import_pipeline.errors import ContractError

#: Attribute of a source -> the key that sets it, if its name is another one.
_KEYS = {
    "retry.tries": "tries",
    "retry.backoff": "backoff",
    "details_per_request": "batch.size",
    "order": "incremental.order",
    "list_request": "list",
    "changes_request": "incremental",
}
#: Keys whose expectation is another one than that of the attribute.
_EXPECTED = {
    "backoff": "seconds from 0, at least once, such as [30, 60]",
    "max_pause": "seconds above 0",
    "base_url": "an address such as https://api.example.com, with no query in it: use `params` and `auth`",
    "incremental.lookback": "a span such as 5 minutes, or a number, from 0",
    "incremental.start": "a position to ask for all changes from, since the list has {since}",
    "asset_key_prefix": "a text, or a list of texts such as [crm, raw]",
    "conditional": "false beside `batch`: the ETag of a batch belongs to no single item",
    "parent": "the name of another source",
}


def in_words(error: ContractError, declaration: Declaration) -> ContractError:
    """Return the error with the key of the declaration, and the value that it has there."""
    key = _KEYS.get(error.method, error.method)
    got = error.got
    if key in {"backoff", "max_pause"}:  # the source has a tuple and a timedelta
        found = getattr(declaration, key)
        got = shown(list(found) if isinstance(found, tuple) else found)
    return ContractError(declaration.name, key, _EXPECTED.get(key, error.expected), "nothing" if got == "None" else got)


def hook_values(declaration: Declaration) -> Mapping[str, str]:
    """Return hook -> the word that it reads, for hooks whose results are stored: another word has another meaning."""
    incremental = declaration.incremental
    words = {"version": declaration.version, "position": incremental and incremental.position}
    return {hook: word for hook, word in words.items() if word}


def hook_words(declaration: Declaration) -> Mapping[str, str]:
    """Return hook -> the key that it reads, as errors name it."""
    keys = {
        "list_request": "list",
        "slice_request": "list",
        "changes_request": "incremental.list" if declaration.incremental and declaration.incremental.list else "list",
        "items": "items",
        "pages": "pages",
        "total": "total",
        "stub": "id",
        "version": "version",
        "position": "incremental.position",
        "is_deleted": "incremental.deleted",
        "slices": "slices",
        "classify": "answers",
        "cost": "list.cost",
        "detail": "detail",
        "detail_request": "batch" if declaration.batch else "detail",
        "details_request": "batch",
        "details": "batch",
        "populate": "columns",
        "connector": "auth",
        "max_depth": "max_depth",
        "__tablename__": "table",
    }
    return {hook: f"{declaration.name}.{key}" for hook, key in keys.items()}
