"""A list that changes while it is paged: what happens after which page was served for the first time.

    2=delete     after page 2 the first item of the list is gone
    2=insert*3   after page 2 there are three new items: at the list's head with the newest first, else at its end

Several changes after one page happen between the same two requests.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from source_api.errors import BadOption

NOTATION = re.compile(r"(?P<page>[0-9]{1,9})=(?P<change>[a-z]+)(?:\*(?P<count>[0-9]{1,6}))?")


class Change(StrEnum):
    """What happens to the list."""

    DELETE = "delete"  #: its first items are gone
    INSERT = "insert"  #: new items are there, with ids of their own


class Order(StrEnum):
    """Which items come first."""

    OLDEST = "oldest"  #: new ones come at the end
    NEWEST = "newest"  #: new ones come first


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One change, and how many items it concerns."""

    page: int
    change: Change
    count: int = 1


def parse_drift(text: str) -> Drift:
    """Reads a change in the notation above."""
    parts = NOTATION.fullmatch(text)
    if parts is None or parts["change"] not in set(Change):
        raise BadOption("--drift", expected="'PAGE=delete' or 'PAGE=insert', and '*N' behind it for N items", got=text)
    return Drift(page=int(parts["page"]), change=Change(parts["change"]), count=int(parts["count"] or 1))


class Drifts:
    """The changes that are yet to happen."""

    def __init__(self, drifts: Sequence[Drift]) -> None:
        self._coming = list(drifts)

    def after(self, page: int) -> list[Drift]:
        """What happens now that this page was served; it happens once."""
        now = [drift for drift in self._coming if drift.page == page]
        self._coming = [drift for drift in self._coming if drift.page != page]
        return now
