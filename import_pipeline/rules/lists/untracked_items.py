"""Items of a list whose positions no item row keeps: tombstones, and items without a position. No I/O."""

import hashlib
from collections.abc import Collection, Mapping

#: Number of latest items kept: the checkpoint is written with each page.
LATEST = 200


def came_again(known: Mapping[str, str], listed: Mapping[str, str]) -> bool:
    """Return True if an item of a page was listed before, at another position or without one.

    `known`: the items so far, as `noted` returned them. `listed`: id -> position of the page's items; empty for none.
    """
    if not known:
        return False
    now = {_fingerprint(item): _fingerprint(place) for item, place in listed.items()}
    return any(known[item] != place or place == _fingerprint("") for item, place in now.items() if item in known)


def noted(known: Mapping[str, str], listed: Mapping[str, str], untracked: Collection[str]) -> dict[str, str]:
    """Return the latest items with the untracked ones of a further page, as fingerprints: item -> position."""
    found = {**known, **{_fingerprint(item): _fingerprint(listed[item]) for item in untracked}}
    return dict(list(found.items())[-LATEST:])


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:8]
