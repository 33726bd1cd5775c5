"""Planned changes of the list during paging. Each happens once, after a page was served for the first time.

    2=delete     after page 2 the first item of the list is deleted
    2=insert*3   after page 2 three items are inserted: first in the list with the order `newest`, else last

Several changes after one page happen between the same two requests.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from source_api.errors import BadOption

NOTATION = re.compile(r"(?P<page>[0-9]{1,9})=(?P<change>[a-z]+)(?:\*(?P<count>[0-9]{1,6}))?")


class Change(StrEnum):
    """The kind of change."""

    DELETE = "delete"  #: the first items are deleted
    INSERT = "insert"  #: new items with new ids are inserted


class Order(StrEnum):
    """The order of the list."""

    OLDEST = "oldest"  #: new items come last
    NEWEST = "newest"  #: new items come first


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One change; `count` items change after page number `page`."""

    page: int
    change: Change
    count: int = 1


def parse_drift(text: str) -> Drift:
    """Parse a change in the notation of this module. Raises BadOption."""
    parts = NOTATION.fullmatch(text)
    if parts is None or parts["change"] not in set(Change):
        raise BadOption("--drift", expected="'PAGE=delete' or 'PAGE=insert', with '*N' appended for N items", got=text)
    return Drift(page=int(parts["page"]), change=Change(parts["change"]), count=int(parts["count"] or 1))


class Drifts:
    """The changes that have not happened yet."""

    def __init__(self, drifts: Sequence[Drift]) -> None:
        self._coming = list(drifts)

    def after(self, page: int) -> list[Drift]:
        """Return and remove the changes that happen after this page."""
        now = [drift for drift in self._coming if drift.page == page]
        self._coming = [drift for drift in self._coming if drift.page != page]
        return now
