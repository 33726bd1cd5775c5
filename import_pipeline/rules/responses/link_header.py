"""The Link header (RFC 8288), read as tolerantly as servers write it. No I/O."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Link:
    """One link: its target as it was written, its relation types in lower case, its other parameters."""

    target: str
    relations: frozenset[str] = frozenset()
    parameters: dict[str, str] = field(default_factory=dict)


#: A target in angle brackets, or (against the RFC) a bare address up to its parameters.
_TARGET = re.compile(r"[\s,]*(?:<(?P<target>[^>]*)>|(?P<bare>(?:https?://|/|\?)[^\s;]+))")
#: `; name="value"`, `; name=value`, `; name='value'` or `; name`, with spaces wherever servers put them.
_PARAMETER = re.compile(
    r"""\s*;\s*(?P<name>[^\s=;,"'<>]+)\s*"""
    r"""(?:=\s*(?:"(?P<quoted>(?:\\.|[^"\\])*)"|'(?P<single>[^']*)'|(?P<token>[^\s;,"']*)))?"""
)
#: Up to the next comma: what cannot be read must not hide the links after it.
_JUNK = re.compile(r"[^,]*")


def links(headers: Iterable[str]) -> list[Link]:
    """Return all links of all Link headers, in their order."""
    return [link for header in headers for link in _links(header)]


def next_target(headers: Iterable[str]) -> str | None:
    """Return the target of the first link to the next page, None if there is none.

    A relation is compared without case, among several (`rel="next last"`). A link with an `anchor` is about another
    resource than this page (RFC 8288, 3.2).
    """
    for link in links(headers):
        if "next" in link.relations and "anchor" not in link.parameters:
            return link.target
    return None


def _links(header: str) -> Iterator[Link]:
    position = 0
    while position < len(header):
        found = _TARGET.match(header, position)
        if found is None:
            position = _JUNK.match(header, position).end() + 1  # type: ignore[union-attr]  # it matches anything
            continue
        position = found.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, position):
            position = parameter.end()
            # Of a parameter that is given twice, the first counts (RFC 8288, 3.3).
            parameters.setdefault(parameter["name"].lower().rstrip("*"), _value(parameter))
        position = _JUNK.match(header, position).end() + 1  # type: ignore[union-attr]
        relations = frozenset(parameters.pop("rel", "").lower().split())
        target = (found["target"] if found["bare"] is None else found["bare"]).strip()
        yield Link(target=target, relations=relations, parameters=parameters)


def _value(parameter: re.Match[str]) -> str:
    if parameter["quoted"] is not None:
        return re.sub(r"\\(.)", r"\1", parameter["quoted"])
    return parameter["single"] if parameter["single"] is not None else parameter["token"] or ""
