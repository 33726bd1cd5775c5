"""Declared sources in YAML files: one source a document, in the words of `RestSource` or as Dagster's defs.yaml."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # its stubs are a separate package

from import_pipeline.declarative.source import RestSource
from import_pipeline.declarative.words import Declaration
from import_pipeline.errors import ContractError, SourceNotFound

#: The type of our component in a defs.yaml.
COMPONENT = "import_pipeline.RestImport"
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
    try:
        documents = list(yaml.load_all(path.read_text("utf-8"), Loader=_Loader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SourceNotFound(f"{path}: the file cannot be read: {' '.join(str(error).split())}") from None
    sources = []
    for document in documents:
        words = _words(path, document)
        if words is not None:
            filled = _filled(path, words, environment)
            sources.append(_built(str(path), json.dumps(filled)))
    return sources


def _words(path: Path, document: object) -> Mapping[str, Any] | None:
    """Return the words of a document; None for an empty one, and for another component."""
    if document is None:
        return None
    if isinstance(document, Mapping) and "type" in document and not document.keys() & Declaration.model_fields.keys():
        if document["type"] != COMPONENT:
            return None
        document = document.get("attributes")
    if not isinstance(document, Mapping):
        raise ContractError(str(path), "words", "a mapping with name, list, pages ...", type(document).__name__)
    return document


def _filled(path: Path, words: Any, environment: Mapping[str, str]) -> Any:
    """Return the words with `{{ env.NAME }}` replaced. Raises ContractError for other templates."""
    if isinstance(words, Mapping):
        return {str(key): _filled(path, value, environment) for key, value in words.items()}
    if isinstance(words, Sequence) and not isinstance(words, str):
        return [_filled(path, value, environment) for value in words]
    if not isinstance(words, str):
        return words

    def value(match: re.Match[str]) -> str:
        named = _VARIABLE.fullmatch(match[1])
        if named is None:
            raise ContractError(str(path), "template", "{{ env.NAME }}; others work in Dagster only", match[0])
        name = named[1] or named[2]
        if name not in environment:
            raise ContractError(str(path), "template", f"a value of {name} in the environment or .env", "nothing")
        return environment[name]

    return _TEMPLATE.sub(value, words)


@lru_cache(maxsize=1000)  # sensors load the sources again and again; each source has a mapped class of its own
def _built(path: str, words: str) -> RestSource:
    try:
        return RestSource(**json.loads(words))
    except ContractError as error:
        raise ContractError(f"{path}: {error.source}", error.method, error.expected, error.got) from None
