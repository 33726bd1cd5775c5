"""A JSON schema without needless alternatives, so that `dg check yaml` names the mistake and its place.

"is not valid under any of the given schemas" is all that a failed `anyOf` says.
"""

from collections.abc import Mapping
from typing import Any

#: Keywords that apply to values of every type; alternatives with them stay.
_GENERAL = frozenset({"anyOf", "oneOf", "$ref", "if", "not"})


def plain_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema with alternatives of different types merged: most keywords apply to one type only."""
    definitions = schema.get("$defs", {})
    found: dict[str, Any] = _plain(schema, definitions)
    return found


def _plain(schema: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_plain(each, definitions) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {key: _plain(value, definitions) for key, value in schema.items() if key != "anyOf"}
    if "anyOf" not in schema:
        return found
    members = [_plain(_resolved(each, definitions), definitions) for each in schema["anyOf"]]
    merged = _merged(members)
    return found | {"anyOf": schema["anyOf"]} if merged is None else merged | found


def _resolved(schema: Any, definitions: Mapping[str, Any]) -> Any:
    name = schema.get("$ref", "").removeprefix("#/$defs/")
    return definitions.get(name, schema)


def _merged(members: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return one schema for values of all members; None if members share a type or a keyword."""
    types: list[str] = []
    merged: dict[str, Any] = {}
    for member in members:
        own = member.get("type")
        keywords = {key: value for key, value in member.items() if key not in {"type", "title", "description"}}
        own_types = [own] if isinstance(own, str) else list(own or ())
        if not own_types or set(own_types) & set(types) or keywords.keys() & (merged.keys() | _GENERAL):
            return None
        types += own_types
        merged |= keywords
    if any("enum" in member or "const" in member for member in members):
        if types[1:] != ["null"] or "enum" not in merged:
            return None
        merged["enum"] = [*merged["enum"], None]
    return merged | {"type": types if len(types) > 1 else types[0]}
