"""The query of a list of imports: its filters, order and page, read from and written to an address."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from import_pipeline.rules.status import (
    DUE,
    NO_WORKER,
    OVERDUE,
    SCHEDULE_OFF,
    WITH_FAILURES,
    ImportStatus,
)
from import_pipeline.tracking.queries import SORTABLE, Filter

#: The statuses in the order of the tabs, with their icons.
ICONS: Mapping[str, str] = {
    ImportStatus.RUNNING: "running",
    NO_WORKER: "overdue",
    ImportStatus.SCHEDULED: "scheduled",
    OVERDUE: "overdue",
    SCHEDULE_OFF: "cancelled",
    ImportStatus.COMPLETED: "completed",
    WITH_FAILURES: "overdue",
    ImportStatus.FAILED: "failed",
    ImportStatus.CANCELLED: "cancelled",
}
#: The icons of all badges; a due import is listed under the tab `scheduled`.
BADGES: Mapping[str, str] = {**ICONS, DUE: "scheduled"}
PAGE_NUMBER, PAGES = re.compile("[1-9][0-9]{0,5}"), "a whole number from 1 to 999999"


@dataclass(frozen=True, kw_only=True)
class Query:
    """The filters, order and page of a list. Unknown values fall back to the defaults."""

    source: str | None = None
    status: str | None = None
    sort: str = "scheduled"
    descending: bool = True
    page: int = 1

    @classmethod
    def read(cls, parameters: Mapping[str, str], sources: Sequence[str]) -> "Query":
        """Read the parameters of an address; invalid ones are ignored."""
        sort = parameters.get("sort", "-scheduled")
        column = sort.removeprefix("-")
        page = parameters.get("page", "1")
        return cls(
            source=parameters.get("source") if parameters.get("source") in sources else None,
            status=parameters.get("status") if parameters.get("status") in BADGES else None,
            sort=column if column in SORTABLE else "scheduled",
            descending=sort.startswith("-") or column not in SORTABLE,
            page=int(page) if PAGE_NUMBER.fullmatch(page) else 1,
        )

    @staticmethod
    def problem(parameters: Mapping[str, str], sources: Sequence[str]) -> str | None:
        """Return a sentence about the first parameter that `read` would ignore, or None."""
        columns = [order + column for column in SORTABLE for order in ("", "-")]
        for name, known in (("source", sources), ("status", BADGES), ("sort", columns)):
            if name in parameters and parameters[name] not in known:
                return f"{name}: expected one of {', '.join(known)}, got {parameters[name][:40]!r}"
        page = parameters.get("page", "1")
        return None if PAGE_NUMBER.fullmatch(page) else f"page: expected {PAGES}, got {page[:40]!r}"

    @property
    def filter(self) -> Filter:
        """The filter of the database query."""
        return Filter(source=self.source, status=self.status)

    def link(self, **changed: Any) -> str:
        """Return the address of the list with some values changed. It leads to page 1 unless `page` is given."""
        values = {"source": self.source, "status": self.status, "page": 1} | changed
        sort = values.pop("sort", f"{'-' if self.descending else ''}{self.sort}")
        values["sort"] = None if sort == "-scheduled" else sort
        values["page"] = None if values["page"] == 1 else values["page"]
        kept = {name: values[name] for name in ("source", "status", "sort", "page") if values[name] is not None}
        return f"/?{urlencode(kept)}" if kept else "/"
