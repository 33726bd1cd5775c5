"""Load the list of sources that a setting names, and apply their settings."""

import copy
import importlib
import logging
import sys
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from import_pipeline.contracts import ImportSource, check_source
from import_pipeline.contracts.importable import has_tenants
from import_pipeline.contracts.slice_check import check_parents
from import_pipeline.errors import ContractError, ImportPipelineError, SettingError, SourceNotFound
from import_pipeline.importer.user_code.hooks import call_hook, describe_error, instance, place_of
from import_pipeline.logs import report
from import_pipeline.settings import Settings, SourceSettings, parsers, read_environment
from import_pipeline.settings.endpoint_limits import together
from import_pipeline.wording import sentence


def load_sources(settings: Settings) -> list[ImportSource]:
    """Return the sources of `IMPORT_PIPELINE_SOURCES`, each with its settings applied.

    Raises SourceNotFound, ContractError or SettingError.
    """
    sources = configure(load_listed(settings.sources), settings)
    check_parents(sources)
    return sources


def load_listed(setting: str) -> object:
    """Return the sources that the setting names: lists as module:NAME and YAML files, separated by commas.

    Raises SourceNotFound or ContractError.
    """
    entries = parsers.source_entries(setting)
    if len(entries) == 1 and not parsers.is_source_file(entries[0]):
        return load_object(entries[0])
    listed: list[object] = []
    for entry in entries:
        if parsers.is_source_file(entry):
            from import_pipeline.declarative.files import load_files

            listed += load_files(entry, Path.cwd(), read_environment())
        else:
            listed += validate(load_object(entry), entry)
    return listed


def load_object(setting: str) -> object:
    """Return the object that `module:NAME` names. Raises SourceNotFound."""
    module_name, _, attribute = setting.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # finds a user's file in the working directory, as `python -m` does
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a user's file may raise anything while it is imported
        raise _unloadable(setting, module_name, error) from error
    listed = getattr(module, attribute, None)
    if listed is None:
        raise SourceNotFound(f"IMPORT_PIPELINE_SOURCES: the module {module_name} has no {attribute}")
    return listed


def _unloadable(setting: str, module_name: str, error: Exception) -> SourceNotFound:
    """Return the error for a module that is missing, or that fails on import, with file and line."""
    absent = error.name if isinstance(error, ModuleNotFoundError) else None
    if absent is not None and f"{module_name}.".startswith(f"{absent}."):
        return SourceNotFound(
            f"IMPORT_PIPELINE_SOURCES: no module {absent!r} is found from {Path.cwd()}; "
            f"expected module:NAME, got {setting}"
        )
    return SourceNotFound(
        f"IMPORT_PIPELINE_SOURCES: the module {module_name} cannot be imported: "
        f"{type(error).__name__}: {_message(error)} ({_place(module_name, error)})"
    )


def _message(error: Exception) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return " ".join(text.split())


def _place(module_name: str, error: Exception) -> str:
    """Return file and line of the fault: the deepest in the user's package, not in a library that it called."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{error.filename}, line {error.lineno}"
    package = module_name.partition(".")[0]
    frames = list(traceback.walk_tb(error.__traceback__))
    theirs = [each for each in frames if str(each[0].f_globals.get("__name__")).partition(".")[0] == package]
    frame, line = (theirs or frames)[-1]
    return f"{frame.f_code.co_filename}, line {line}"


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
    return configure_each(_members(load_listed(settings.sources), settings.sources), settings)


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
    sources = [_checked(each) for each in _members(listed, setting)]
    names = Counter(source.name.lower() for source in sources)  # settings and files may ignore case
    for source in sources:
        if names[source.name.lower()] > 1:
            raise _name_taken(source, [each for each in sources if each.name.lower() == source.name.lower()])
    return sources


def _members(listed: object, setting: str) -> list[object]:
    if not isinstance(listed, Iterable):
        raise ContractError(setting, "list", "a list of ImportSource instances", type(listed).__name__)
    try:
        return list(listed)
    except Exception as error:
        raise ContractError(setting, "list", "a list of ImportSource instances", describe_error(error)) from error


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
