"""Load the listed sources: check them, and apply their settings."""

import copy
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache

from import_pipeline.contracts import ImportSource, check_source
from import_pipeline.contracts.importable import has_tenants
from import_pipeline.contracts.slice_check import check_parents
from import_pipeline.errors import ContractError, ImportPipelineError, SettingError, SourceNotFound
from import_pipeline.importer.source_list import load_listed, members_of
from import_pipeline.importer.user_code.hooks import call_hook, describe_error, instance, place_of
from import_pipeline.logs import report
from import_pipeline.settings import Settings, SourceSettings
from import_pipeline.settings.endpoint_limits import together
from import_pipeline.wording import sentence


def load_sources(settings: Settings) -> list[ImportSource]:
    """Return the sources of `IMPORT_PIPELINE_SOURCES`, each with its settings applied.

    Raises SourceNotFound, ContractError or SettingError.
    """
    sources = configure(load_listed(settings.sources), settings)
    check_parents(sources)
    return sources


def configure(listed: object, settings: Settings) -> list[ImportSource]:
    """Validate the listed sources, and apply their settings. Raises ContractError or SettingError."""
    sources = [configured(source, source.own_settings(settings)) for source in validate(listed, settings.sources)]
    _note_siblings(sources)
    sources = with_limits_of_their_api(sources)
    for note in shared_tables(sources):
        _warn(note)
    return sources


def load_each(settings: Settings) -> tuple[list[ImportSource], dict[str, ImportPipelineError]]:
    """Return the sources that can be configured, and the errors of the others by their names.

    Raises SourceNotFound or ContractError if the list itself cannot be loaded.
    """
    return configure_each(members_of(load_listed(settings.sources), settings.sources), settings)


def _note_siblings(sources: Sequence[ImportSource]) -> None:
    """Let each tenant know the others of its class that write to the same rows: an id must not be of two of them."""
    for some in _sharing_rows(sources).values():
        for each in some:
            each.siblings = frozenset(other.name for other in some if type(other) is type(each)) - {each.name}


def configure_each(
    members: Sequence[object], settings: Settings
) -> tuple[list[ImportSource], dict[str, ImportPipelineError]]:
    """Return the sources that can be configured, and the errors of the others by their names."""
    found, errors = dict[str, ImportSource](), dict[str, ImportPipelineError]()
    names = Counter(str(getattr(each, "name", "")).lower() for each in members)
    for number, member in enumerate(members, start=1):
        name = str(getattr(member, "name", "") or f"source {number} of the list")
        try:
            [source] = configure([member], settings)
            if names[name.lower()] > 1:
                raise _name_taken(source, [source])
            found[name] = source
        except ImportPipelineError as error:
            errors[name] = error
    good = list(found.values())
    _note_siblings(good)
    return with_limits_of_their_api(good), errors


def configured(source: ImportSource, settings: SourceSettings) -> ImportSource:
    """Return the source with its settings applied. Raises HookFailed or SettingError."""
    returns = instance(ImportSource, "the source, configured")  # type: ignore[type-abstract]
    return call_hook(source, "configured", settings, returns=returns, passes=(SettingError,))


def with_limits_of_their_api(sources: Sequence[ImportSource]) -> list[ImportSource]:
    """Return the sources; one without limits gets those of the other sources of its API, all together."""
    limits: dict[str, list[str]] = {}
    for source in sources:
        if source.limits and source.limits_text not in limits.setdefault(source.api, []):
            limits[source.api].append(source.limits_text)
    return [
        source if source.limits or not limits.get(source.api) else _with_limits(source, together(limits[source.api]))
        for source in sources
    ]


def _with_limits(source: ImportSource, limits: str) -> ImportSource:
    limited = copy.copy(source)
    with suppress(AttributeError):  # a property of the user's class decides itself
        limited.limits = limits
    return limited


def configured_among_others(declared: ImportSource, settings: Settings) -> ImportSource:
    """Return one source with its settings applied; without limits, it gets those of listed sources of its API.

    The list that the settings name may be missing or wrong; then it is ignored. Raises ContractError or SettingError
    for the source itself.
    """
    [source] = configure([declared], settings)
    if source.limits:
        return source
    try:
        others = [each for each in load_sources(settings) if each.name != source.name]
    except ImportPipelineError:
        return source
    return with_limits_of_their_api([source, *others])[0]


def shared_tables(sources: Iterable[ImportSource]) -> list[str]:
    """Return a warning for each table that several sources write to."""
    return [_shared(table, some) for table, some in _sharing_rows(sources).items()]


def _sharing_rows(sources: Iterable[ImportSource]) -> dict[str, list[ImportSource]]:
    """Return the sources that write to the rows of one table, by tables with several of them."""
    writers: dict[str, list[ImportSource]] = {}
    for source in sources:
        if not has_tenants(source.model):
            writers.setdefault(source.model.__table__.fullname, []).append(source)
    return {table: some for table, some in writers.items() if len(some) > 1}


def _shared(table: str, writers: Sequence[ImportSource]) -> str:
    said = (
        f"the sources {' and '.join(each.name for each in writers)} write to one table, {table}: an id that both have"
    )
    is_declared = any(each.hook_words for each in writers)
    if len({type(each) for each in writers}) == 1:
        remedy = "Give each its own `table`" if is_declared else "With TenantMixin each tenant has rows of its own"
        return f"{said} is refused for all but the first. {remedy}"
    own = "`table`" if is_declared else "model"
    return f"{said} is one row, which each of them overwrites. Give each source its own {own}"


@lru_cache(maxsize=100)  # once per process: sensors load the sources again and again
def _warn(note: str) -> None:
    report("sources_share_a_table", sentence(note), level=logging.WARNING)


def validate(listed: object, setting: str) -> list[ImportSource]:
    """Return the sources of the list, checked. Raises ContractError."""
    sources = [_checked(each) for each in members_of(listed, setting)]
    names = Counter(source.name.lower() for source in sources)  # settings and files may ignore case
    for source in sources:
        if names[source.name.lower()] > 1:
            raise _name_taken(source, [each for each in sources if each.name.lower() == source.name.lower()])
    return sources


def _name_taken(source: ImportSource, namesakes: Sequence[ImportSource]) -> ContractError:
    files, label = sorted({each.declared_in for each in namesakes if each.declared_in}), type(source).__name__
    own = f'. Give each tenant of a class its own, such as {label}(name="{source.name}_acme")'
    in_files = f" (in {', '.join(files)})" if files else ""
    got = f"the name of two sources{in_files or own}"
    return ContractError(source.name, "name", "a unique name", got)


def _checked(member: object) -> ImportSource:
    """Return the source if it fulfils the contract. Raises ContractError, also if one of its attributes raises."""
    try:
        return check_source(member)
    except ImportPipelineError:
        raise
    except Exception as error:
        place = place_of(error, member)
        got = f"{describe_error(error)}{f' ({place})' if place else ''}"
        raise ContractError(type(member).__name__, "class", "attributes that can be read", got) from error


def find_source(sources: Iterable[ImportSource], name: str) -> ImportSource:
    """Return the named source. Raises SourceNotFound with the known names."""
    known = {source.name: source for source in sources}
    if name not in known:
        raise SourceNotFound(f"{name}: no such source; known sources: {', '.join(sorted(known)) or 'none'}")
    return known[name]
