"""Limits per endpoint as a text: `100/10 second; /search: 5/1 second`. Those before a path hold for all others."""

import re
from collections.abc import Mapping

#: The entry of all requests that no path prefix matches.
DEFAULT = ""
NONE = "none"
#: A path up to the last colon, since limits have none: `/v1/items:batchGet: 5/1 second`.
_SECTION = re.compile(r"(/[^\s;,|]*)\s*:\s*([^:]+)")


def split_endpoints(text: str) -> dict[str, str]:
    """Return path prefix -> limits, the default always included and first; empty limits: none are known.

    Raises ValueError for a prefix that comes twice.
    """
    found: dict[str, list[str]] = {DEFAULT: []}
    prefix = DEFAULT
    for part in (part.strip() for part in re.split(r"[;,|\n]", text)):
        section = _SECTION.fullmatch(part)
        limit = part if section is None else section[2]
        if section is not None:
            prefix = section[1].rstrip("/")
            if prefix in found and (prefix != DEFAULT or found[DEFAULT]):
                raise ValueError(f"{prefix or '/'} twice")
            found[prefix] = []
        if limit and limit.lower() != NONE:
            found[prefix].append(limit)
    return {prefix: "; ".join(parts) for prefix, parts in found.items()}


def join_endpoints(limits: str | Mapping[str, str]) -> str:
    """Return the limits as one text; a text stays as it is. Raises ValueError for entries that cannot be written so."""
    if isinstance(limits, str):
        return limits
    default, others = "", list[str]()
    for prefix, text in limits.items():
        if not isinstance(prefix, str) or not isinstance(text, str):
            raise ValueError(f"{prefix!r}: {text!r}")
        if not prefix.rstrip("/"):
            default = text.strip()
        else:
            others.append(f"{prefix.rstrip('/')}: {text.strip() or NONE}")
    joined = "; ".join([*([default] if default else []), *others])
    if len(split_endpoints(joined)) != len(others) + 1:  # a prefix without a slash, or with a separator in it
        raise ValueError(joined)
    return joined


def replaced(own: str, setting: str) -> str:
    """Return a source's limits after its setting: one that names no path replaces the default only."""
    entries = split_endpoints(own)
    if len(entries) == 1 or len(split_endpoints(setting)) > 1:
        return setting
    return join_endpoints(entries | {DEFAULT: setting})


def everywhere(own: str | Mapping[str, str], limits: str) -> str:
    """Return these limits for each path that has some of its own, and for all others."""
    try:
        entries = split_endpoints(join_endpoints(own))
    except (ValueError, AttributeError):  # the check of the source names the problem
        return limits
    return join_endpoints(dict.fromkeys(entries, limits)) or limits


def together(texts: list[str]) -> str:
    """Return the limits of several texts, all of which hold."""
    entries: dict[str, list[str]] = {}
    for text in texts:
        for prefix, limits in split_endpoints(text).items():
            entries.setdefault(prefix, []).extend([limits] if limits and limits not in entries.get(prefix, []) else [])
    return join_endpoints({prefix: "; ".join(parts) for prefix, parts in entries.items()})
