"""Recognize pages that are counted, by numbers or offsets: items may slide from one to another. No I/O."""

import re
from collections import Counter

#: A number that stands alone: digits within a cursor count nothing.
_NUMBER = re.compile(r"(?<![\w%.-])\d{1,12}(?![\w%.-])", re.ASCII)


def is_counted(current: str, following: str, *, page: int, items: int, per_page: int) -> bool:
    """Return True if the next request counts what was read: the pages, or the items on them.

    Both texts hold a request's address and body. `page` pages with `items` items were read. Counts begin with 0 or 1.
    Other numbers, such as the moment that a page begins at, belong to a cursor.
    """
    new = Counter(map(int, _NUMBER.findall(following))) - Counter(map(int, _NUMBER.findall(current)))
    counts = {count + first for count in (page, items, page * per_page) for first in (0, 1)}
    return not counts.isdisjoint(new)
