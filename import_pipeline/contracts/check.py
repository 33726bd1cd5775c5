"""Check that a source meets the contract, before any request is sent or any row is stored."""

import math
import re
from datetime import timedelta

from import_pipeline.contracts.asset_attributes import check_asset_attributes
from import_pipeline.contracts.batches import check_batches, is_batched
from import_pipeline.contracts.hooks import check_hooks
from import_pipeline.contracts.importable import is_always_whole
from import_pipeline.contracts.incremental import check_incremental
from import_pipeline.contracts.model_check import check_model
from import_pipeline.contracts.paginators import Paginator
from import_pipeline.contracts.slice_check import check_slices
from import_pipeline.contracts.source import ImportSource, Retry
from import_pipeline.errors import ContractError
from import_pipeline.rules.partitions import Partitions
from import_pipeline.rules.slots import slot_faults
from import_pipeline.settings import SOURCE_SETTINGS, Setting
from import_pipeline.settings.endpoint_limits import join_endpoints

#: Attributes that a setting of the same name may override. Their values must pass the setting's own check.
_NUMBERS = (
    "per_page",
    "max_pages",
    "concurrency",
    "ceiling",
    "shards",
    "timeout",
    "max_body",
    "lease",
    "wait",
    "max_outage",
)
#: Attributes without a setting that are whole numbers from 1, and the largest value of each.
_WHOLE_NUMBERS = {"max_depth": math.inf, "max_empty_pages": math.inf, "revision": 2**31 - 1}
#: The characters that Dagster allows in names, and the length that the tracking tables store.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
NAME_FORM = "at most 100 of the letters a to z and A to Z, digits and underscores, such as items"


def check_source(source: object) -> ImportSource:
    """Return the source, or raise a ContractError that names the attribute or method and its expected form."""
    if not isinstance(source, ImportSource):
        raise ContractError(repr(source), "class", "an instance of ImportSource", type(source).__name__)
    label = type(source).__name__
    name = getattr(source, "name", None)
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        raise ContractError(label, "name", NAME_FORM, repr(name))
    model = getattr(source, "model", None)
    if not hasattr(model, "__mapper__"):
        raise ContractError(name, "model", "a class mapped by SQLAlchemy", repr(model))
    _check_row_methods(source, name, model)
    check_model(name, model)
    _check_pages(source)
    check_hooks(source, name, model)  # type: ignore[arg-type]
    check_batches(source, name, model)  # type: ignore[arg-type]
    check_slices(source)
    check_listing(source)
    _check_values(source)
    check_asset_attributes(source)
    return source


def _check_row_methods(source: ImportSource, name: str, model: object) -> None:
    """Raise ContractError if the row class lacks a method for details, and items are not always whole in the list."""
    if is_always_whole(model) and not is_batched(source):
        return
    for method in ("populate",) if is_batched(source) else ("populate", "detail_request"):
        if not callable(getattr(model, method, None)):
            raise ContractError(name, f"model.{method}", "a method (see Importable)", "nothing")


def _check_pages(source: ImportSource) -> None:
    """Raise ContractError unless the source declares its paging in exactly one way."""
    own = [
        hook
        for hook in ("next_request", "has_next_page")
        if getattr(type(source), hook, None) is not getattr(ImportSource, hook)
    ]
    if source.pages is None:
        if not own:
            expected = "a paginator such as PageNumber(), or a method has_next_page or next_request"
            raise ContractError(source.name, "pages", expected, "none of them")
        return
    if not isinstance(source.pages, Paginator):
        raise ContractError(source.name, "pages", "a paginator, such as PageNumber()", repr(source.pages))
    if own:
        raise ContractError(source.name, own[0], "none beside `pages`, which says what follows a page", "a method")


def check_listing(source: ImportSource) -> None:
    """Raise ContractError for hooks of incremental imports that contradict each other."""
    has_list = type(source).list_request is not ImportSource.list_request
    check_incremental(source, source.name, has_list=has_list, has_slices=source.is_sliced)


def _check_times(source: ImportSource) -> None:
    """Raise ContractError for delays, pauses, slots and a time zone that are invalid."""
    if not isinstance(source.retry, Retry):
        raise ContractError(source.name, "retry", "Retry(tries=5, backoff=(30.0, 60.0))", repr(source.retry))
    backoff = source.retry.backoff
    if not isinstance(backoff, tuple | list) or not backoff or not all(map(_is_wait, backoff)):
        expected = "seconds from 0, at least once, such as (30.0, 60.0)"
        raise ContractError(source.name, "retry.backoff", expected, repr(backoff))
    if not isinstance(source.max_pause, timedelta) or source.max_pause <= timedelta(0):
        raise ContractError(source.name, "max_pause", "a timedelta above 0", repr(source.max_pause))
    for name, expected, got in slot_faults(source.slots, source.time_zone):
        raise ContractError(source.name, name, expected, got)


def _is_wait(seconds: object) -> bool:
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < math.inf


def _check_values(source: ImportSource) -> None:
    """Raise ContractError for an attribute whose value its setting would refuse."""
    _check_times(source)
    settings = {setting.name.lower(): setting for setting in SOURCE_SETTINGS}
    values = {name: getattr(source, name) for name in _NUMBERS}
    values |= {"limits": _limits(source, settings["limits"])} if source.limits else {}
    for name, value in [*values.items(), ("retry.tries", source.retry.tries)]:
        setting = settings[name.removeprefix("retry.")]
        try:
            is_good = setting.parse(str(value)) == value
        except ValueError:
            is_good = False
        if not is_good:
            raise ContractError(source.name, name, setting.expected, repr(value))
    if not isinstance(source.api, str) or not source.api:
        raise ContractError(source.name, "api", "a name", repr(source.api))
    for name, most in _WHOLE_NUMBERS.items():
        value = getattr(source, name)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise ContractError(source.name, name, "a whole number from 1", repr(value))
    if not isinstance(source.partitions, Partitions):
        raise ContractError(source.name, "partitions", "per_item or buckets(500)", repr(source.partitions))
    _check_base_url(source, settings["base_url"])


def _limits(source: ImportSource, setting: Setting[str]) -> str:
    """Return the limits as a text. Raises ContractError for a mapping that cannot be written as one."""
    try:
        return join_endpoints(source.limits)
    except (ValueError, AttributeError, TypeError) as error:
        expected = f"{setting.expected}; or a mapping such as {{'/search': '5/1 second', '': '100/10 second'}}"
        raise ContractError(source.name, "limits", expected, repr(source.limits)) from error


def _check_base_url(source: ImportSource, setting: Setting[str]) -> None:
    """Raise ContractError for an invalid base URL. The message masks a password in it."""
    try:
        if source.base_url:
            setting.parse(source.base_url)
    except ValueError as error:
        expected = f"{setting.expected}: headers and auth belong in `connector`"
        raise ContractError(source.name, "base_url", expected, setting.shown(source.base_url)) from error
