"""Pagination as pure arithmetic, in the format of Laravel's paginator."""

import re
from dataclasses import dataclass
from typing import Any

DEFAULT_PER_PAGE = 15
MOST_PER_PAGE = 100
NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


@dataclass(frozen=True, kw_only=True)
class PageRequest:
    """A requested page. `says_per_page` is True if the request contained the page size."""

    page: int
    per_page: int
    says_per_page: bool

    @property
    def skip(self) -> int:
        """The number of items before the page."""
        return (self.page - 1) * self.per_page


def page_request(page: str | None, per_page: str | None) -> PageRequest:
    """Parse `page` and `perPage`. An invalid page counts as 1; the size is clamped to 1 to 100."""
    size = _number(per_page, default=DEFAULT_PER_PAGE)
    return PageRequest(
        page=max(1, _number(page, default=1)),
        per_page=min(MOST_PER_PAGE, max(1, size)),
        says_per_page=per_page is not None,
    )


def _number(text: str | None, *, default: int) -> int:
    return int(text) if text is not None and NUMBER.fullmatch(text) else default


def paginated(data: list[dict[str, Any]], *, asked: PageRequest, total: int, path: str) -> dict[str, Any]:
    """Return the body of a list page. `path` is the list's own URL. The links keep a requested page size."""
    last_page = max(1, -(-total // asked.per_page))
    size = f"&perPage={asked.per_page}" if asked.says_per_page else ""

    def url(number: int) -> str:
        return f"{path}?page={number}{size}"

    return {
        "current_page": asked.page,
        "data": data,
        "first_page_url": url(1),
        "from": asked.skip + 1 if data else None,
        "last_page": last_page,
        "last_page_url": url(last_page),
        "next_page_url": url(asked.page + 1) if asked.page < last_page else None,
        "path": path,
        "per_page": asked.per_page,
        "prev_page_url": url(asked.page - 1) if asked.page > 1 else None,
        "to": asked.skip + len(data) if data else None,
        "total": total,
    }
