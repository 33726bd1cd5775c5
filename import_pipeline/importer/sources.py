"""The list of sources, named by a setting and loaded when it is needed."""

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path

from import_pipeline.contracts import ImportSource, check_source
from import_pipeline.errors import ContractError, SourceNotFound
from import_pipeline.settings import Settings


def load_sources(settings: Settings) -> list[ImportSource]:
    """The sources of `IMPORT_PIPELINE_SOURCES`, each with its settings applied.

    Raises SourceNotFound, ContractError or SettingError.
    """
    module_name, _, attribute = settings.sources.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # a user's own file is found where the command is given, as `python -m` would
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise SourceNotFound(
            f"IMPORT_PIPELINE_SOURCES: no module {error.name!r} is found from {here}; "
            f"expected module:NAME, got {settings.sources}"
        ) from error
    listed = getattr(module, attribute, None)
    if listed is None:
        raise SourceNotFound(f"IMPORT_PIPELINE_SOURCES: the module {module_name} has no {attribute}")
    return configure(listed, settings)


def configure(listed: object, settings: Settings) -> list[ImportSource]:
    """The listed sources, checked, with their settings applied. Raises ContractError or SettingError."""
    if not isinstance(listed, Iterable):
        raise ContractError(settings.sources, "list", "a list of ImportSource instances", type(listed).__name__)
    sources = [check_source(each) for each in listed]
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise ContractError(name, "name", "a name of its own", "the name of two sources")
    return [source.configured(settings.source(source.name)) for source in sources]


def find_source(sources: Iterable[ImportSource], name: str) -> ImportSource:
    """The source of that name; raises SourceNotFound with the names that there are."""
    known = {source.name: source for source in sources}
    if name not in known:
        raise SourceNotFound(f"{name}: no such source; known are: {', '.join(sorted(known)) or 'none'}")
    return known[name]
