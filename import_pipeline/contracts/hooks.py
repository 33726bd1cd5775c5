"""Check the methods of a source and its model before they are called: plain functions with the expected parameters."""

import inspect
from collections.abc import Mapping

from import_pipeline.contracts.batches import has_follow_ups, is_batched
from import_pipeline.contracts.importable import is_always_whole
from import_pipeline.errors import ContractError

#: The methods of a source, and the names of the arguments that each is called with.
SOURCE_HOOKS = {
    "list_request": ("page", "per_page"),
    "slices": (),
    "split": ("key",),
    "slice_request": ("key", "page", "per_page"),
    "changes_request": ("since", "page", "per_page"),
    "items": ("list_response",),
    "has_next_page": ("list_response",),
    "next_request": ("response", "page"),
    "stub": ("item",),
    "detail": ("response",),
    "details_request": ("rows",),
    "details": ("response",),
    "total": ("list_response",),
    "version": ("item",),
    "position": ("item",),
    "is_deleted": ("item",),
    "classify": ("response",),
    "is_rate_limited": ("response",),
    "cost": ("request",),
    "notify": ("notice",),
    "connector": ("settings",),
    "configured": ("settings",),
}
MODEL_HOOKS = {"populate": ("self", "detail"), "detail_request": ("self",), "more": ("self", "detail")}
#: Methods that may be generators.
YIELDING = frozenset({"items", "details", "slices", "split"})
#: Methods that build the request for a list: with a paginator, for its first page only.
OF_PAGES = frozenset({"list_request", "changes_request", "slice_request"})


def label_of(owner: object, hook: str) -> str:
    """Return a hook's name as errors show it: with the class, or the key of the declaration that it reads."""
    words: Mapping[str, str] = getattr(owner, "hook_words", {})
    return words.get(hook) or f"{type(owner).__name__}.{hook}"


def check_hooks(source: object, name: str, model: type) -> None:
    """Raise ContractError for a hook that is not callable, is `async`, is a generator, or takes other arguments."""
    for hook, arguments in SOURCE_HOOKS.items():
        _check(source, name, hook, hook, _given(source, hook, arguments))
    for hook, arguments in MODEL_HOOKS.items():
        if not _is_left_out(source, model, hook):
            _check(model, name, hook, f"model.{hook}", arguments)


def _is_left_out(source: object, model: type, hook: str) -> bool:
    """Return True for a method that this row class need not have, and does not."""
    if hook == "more":
        return not has_follow_ups(model)
    if is_always_whole(model) and not is_batched(source):
        return True
    return hook == "detail_request" and is_batched(source) and not hasattr(model, hook)


def _given(source: object, hook: str, arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Return the arguments that the hook gets from this source's imports."""
    if hook in OF_PAGES and getattr(source, "pages", None) is not None:
        return tuple(each for each in arguments if each not in {"page", "per_page"})
    return (*arguments, "key") if hook == "stub" and getattr(source, "is_sliced", False) else arguments


def _check(owner: object, name: str, hook: str, label: str, arguments: tuple[str, ...]) -> None:
    found = getattr(owner, hook, None)
    if not callable(found):
        raise ContractError(name, label, "a method", "nothing" if found is None else type(found).__name__)
    function = inspect.unwrap(found)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise ContractError(
            name, label, "a plain method (def), since it only builds or reads; requests are sent elsewhere", "async def"
        )
    if inspect.isgeneratorfunction(function) and hook not in YIELDING:
        raise ContractError(name, label, "a method that returns", "one that yields")
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # some callables have no readable signature
        return
    try:
        signature.bind(*arguments)
    except TypeError:
        raise ContractError(name, label, f"to take ({', '.join(arguments)})", str(signature)) from None
