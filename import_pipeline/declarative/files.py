"""Declared sources in YAML files: one source a document, in the words of `RestSource` or as Dagster's defs.yaml."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # its stubs are a separate package

from import_pipeline.declarative.reading import NAMELESS
from import_pipeline.declarative.source import RestSource
from import_pipeline.declarative.unfit import nearest, resembled, shown, unknown_key
from import_pipeline.declarative.words import Declaration
from import_pipeline.errors import ContractError, SourceNotFound

#: The type of our component in a defs.yaml.
COMPONENT = "import_pipeline.RestImport"
#: Attributes of the component that are no words of its source.
IN_DAGSTER_ONLY = ("translation", "tracking_assets")
#: Keys of a document of a Dagster component.
_OF_DAGSTER = ("type", "attributes", "requirements", "post_processing", "template_vars_module")
_FORM = "a mapping with name, list, pages ..."
_TEMPLATE = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_VARIABLE = re.compile(r"env\.(\w+)|env\(['\"](\w+)['\"]\)")


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # untyped
    """YAML 1.2's plain values: `12:00`, `on` and `2030-01-31` stay texts. A key that stands twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        known = set()
        for key, _ in node.value:
            if key.value in known and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} stands twice", key.start_mark)
            known.add(key.value)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if not tag.endswith((":timestamp", ":bool", ":int", ":float"))]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), list(_first))


def load_files(pattern: str, folder: Path, environment: Mapping[str, str]) -> list[RestSource]:
    """Return the sources of all files that match, in order of their names. `**` stands for any folders.

    Documents of other Dagster components are skipped. Raises SourceNotFound or ContractError.
    """
    if Path(pattern).is_absolute():
        folder, pattern = Path("/"), pattern.lstrip("/")
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise SourceNotFound(f"IMPORT_PIPELINE_SOURCES: no file {pattern} is found from {folder}")
    found = [source for path in paths for source in load_file(path, environment)]
    if not found:
        names = ", ".join(str(path) for path in paths[:3])
        raise SourceNotFound(f"IMPORT_PIPELINE_SOURCES: no source is declared in {names}")
    return found


def load_file(path: Path, environment: Mapping[str, str]) -> list[RestSource]:
    """Return the sources that a file declares. Raises SourceNotFound or ContractError."""
    sources = []
    for document in _documents(path):
        words = _words(path, document)
        if words is not None:
            name = words.get("name")
            filled = _filled(path, words, environment, (name,) if isinstance(name, str) else ())
            sources.append(_built(str(path), json.dumps(filled, default=str)))
    return sources


def _documents(path: Path) -> list[Any]:
    """Return the documents of a YAML file. Raises SourceNotFound with the line that cannot be read."""
    try:
        found = list(yaml.load_all(path.read_text("utf-8"), Loader=_Loader))
        json.dumps(found, default=str, skipkeys=True)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" in line {mark.line + 1}" if mark is not None else ""
        problem = f"{error.context}: {error.problem}" if error.context else error.problem
        raise SourceNotFound(f"{path}: the file cannot be read: {problem}{line}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SourceNotFound(f"{path}: the file cannot be read: {' '.join(str(error).split())}") from None
    except (ValueError, RecursionError):  # of json
        raise SourceNotFound(f"{path}: the file cannot be read: an alias (*name) contains itself") from None
    return found


def _words(path: Path, document: object) -> Mapping[str, Any] | None:
    """Return the words of a document; None for an empty one, and for another component."""
    if document is None:
        return None
    known = Declaration.model_fields.keys()
    if isinstance(document, Mapping) and not document.keys() & known and document.keys() & {"type", "attributes"}:
        if (kind := document.get("type")) != COMPONENT:
            if kind is not None and not str(kind).startswith(f"{COMPONENT.partition('.')[0]}."):
                return None
            raise ContractError("", "type", COMPONENT, shown(kind), file=str(path))
        words = document.get("attributes")
        if isinstance(words, Mapping):
            return {key: value for key, value in words.items() if key not in IN_DAGSTER_ONLY}
        typo = next((str(key) for key in document if key not in _OF_DAGSTER and resembled(str(key), _OF_DAGSTER)), None)
        if words is None and typo is not None:
            raise ContractError("", typo, _FORM, "", file=str(path), problem=unknown_key(typo, _OF_DAGSTER))
        raise ContractError("", "attributes", _FORM, _kind_of(words), file=str(path))
    if not isinstance(document, Mapping):
        raise ContractError("", "", _FORM, _kind_of(document), file=str(path))
    return document


def _kind_of(value: object) -> str:
    return "a list; write one source a document, with --- between them" if isinstance(value, list) else shown(value)


def _filled(path: Path, words: Any, environment: Mapping[str, str], keys: tuple[str, ...]) -> Any:
    """Return the words with `{{ env.NAME }}` replaced. Raises ContractError for other templates."""
    if isinstance(words, Mapping):
        return {str(key): _filled(path, each, environment, (*keys, str(key))) for key, each in words.items()}
    if isinstance(words, Sequence) and not isinstance(words, str):
        return [_filled(path, each, environment, (*keys, str(number))) for number, each in enumerate(words)]
    if not isinstance(words, str):
        return words

    def refused(expected: str, got: str) -> ContractError:
        return ContractError("", ".".join(keys), expected, got, file=str(path))

    def value(match: re.Match[str]) -> str:
        named = _VARIABLE.fullmatch(match[1])
        if named is None:
            raise refused("{{ env.NAME }}; others work in Dagster only", match[0])
        name = named[1] or named[2]
        if name not in environment:
            near = nearest(name, environment)
            raise refused(f"a value of {name} in the environment or .env", f"nothing{near}")
        return environment[name]

    return _TEMPLATE.sub(value, words)


@lru_cache(maxsize=1000)  # sensors load the sources again and again; each source has a mapped class of its own
def _built(path: str, words: str) -> RestSource:
    try:
        source = RestSource(**json.loads(words))
    except ContractError as error:
        raise in_file(path, error) from None
    source.declared_in = path
    return source


def in_file(path: str, error: ContractError) -> ContractError:
    """Return the error of a declaration with its file."""
    source = "" if error.source == NAMELESS else error.source
    return ContractError(source, error.method, error.expected, error.got, file=path, problem=error.problem)
