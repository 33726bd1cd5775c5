"""Find what `IMPORT_PIPELINE_SOURCES` lists: lists of sources in Python modules, and YAML files."""

import importlib
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

from import_pipeline.errors import ContractError, SourceNotFound
from import_pipeline.importer.user_code.hooks import describe_error
from import_pipeline.settings import parsers, read_environment


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
            listed += members_of(load_object(entry), entry)
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


def members_of(listed: object, setting: str) -> list[object]:
    """Return the members of a list, not checked yet. Raises ContractError if it is none."""
    if not isinstance(listed, Iterable):
        raise ContractError(setting, "list", "a list of ImportSource instances", type(listed).__name__)
    try:
        return list(listed)
    except Exception as error:
        raise ContractError(setting, "list", "a list of ImportSource instances", describe_error(error)) from error
