"""Declared paths that no item had: a misspelt path would otherwise show only as a column full of nulls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from import_pipeline.contracts.paginators import Cursor, NextUrl
from import_pipeline.declarative.paging import read_pages
from import_pipeline.declarative.values import SLICE, WHOLE, near_path
from import_pipeline.declarative.words import Declaration

#: Paths that a note names; the others are counted.
MOST_NAMED = 10
_EFFECTS = {
    "total": ", so a list that is cut short does not show",
    "pages": ", so the list ended at its first page",
}


@dataclass(kw_only=True)
class _Watched:
    """Paths of one kind of document: list pages, list items or details. `unmet` has those that none had so far."""

    paths: Mapping[str, str]  #: key of the declaration -> path
    count: int = 0
    unmet: dict[str, str] = field(init=False)
    latest: Any = None  #: the latest document

    def __post_init__(self) -> None:
        self.unmet = dict(self.paths)

    def see(self, document: Any) -> None:
        self.count += 1
        if self.unmet:
            self.latest = document
            for key in [key for key, path in self.unmet.items() if may_have(document, path)]:
                del self.unmet[key]

    def missing(self) -> Mapping[str, str]:
        """Return the paths that no document had; none if there was no document."""
        return self.unmet if self.count else {}

    def near(self, path: str) -> str:
        """Return the question for a path that the latest document has in place of this one, if one is similar."""
        return near_path(self.latest, path)


class Sightings:
    """The declared paths that were met in the answers of one import, as far as this process read them."""

    def __init__(self, declaration: Declaration) -> None:
        self._declaration = declaration
        self.begin()

    def begin(self) -> None:
        """Forget what was met: another import begins."""
        declaration = self._declaration
        pages, changes = read_pages(declaration.pages), declaration.incremental
        cursor = pages.next if isinstance(pages, Cursor) else pages.path if isinstance(pages, NextUrl) else None
        columns = {f"column {name}": each for name, each in declaration.columns.items()}
        plain = {key: each.path for key, each in columns.items() if each.path not in {SLICE, WHOLE}}
        self._has_detail = declaration.detail is not None or declaration.batch is not None
        of_list = {key: path for key, path in plain.items() if columns[key].from_list or not self._has_detail}
        position = None if changes is None else changes.position
        of_item = {"version": declaration.version, "incremental.position": position}
        self._pages = _Watched(paths=_named({"total": declaration.total, "pages": cursor}))
        self._items = _Watched(paths=plain | _named(of_item))
        self._details = _Watched(paths={key: path for key, path in plain.items() if key not in of_list})

    def of_page(self, body: Any) -> None:
        """Take note of a list page."""
        self._pages.see(body)

    def of_item(self, item: Any) -> None:
        """Take note of a list item."""
        self._items.see(item)

    def of_detail(self, detail: Any) -> None:
        """Take note of a detail."""
        self._details.see(detail)

    def sentences(self, without: Sequence[str] = ()) -> list[str]:
        """Return a clause for each path that none had, but for the columns named in `without`."""
        found = []
        for key, path in self._pages.missing().items() if self._items.count else ():
            near = self._pages.near(path)
            if key == "total" or near:  # APIs leave the next page out if there is none; a similar name is a misspelling
                found.append(f"{key}: no list page has {path}{near}{_EFFECTS[key]}")
        for key, path in self._items.missing().items():
            if key not in self._details.paths:
                found.append(f"{key}: no item has {path}{self._items.near(path)}{_effect(key, self._has_detail)}")
        for key, path in self._details.missing().items():
            is_listed = self._items.count and key not in self._items.unmet
            hint = ", but the list has it: set from_list: true" if is_listed else self._details.near(path)
            found.append(f"{key}: no detail has {path}{hint}")
        return [each for each in found if each.partition(":")[0] not in {f"column {name}" for name in without}]


def listed(sentences: Sequence[str]) -> str:
    """Return the clauses as one sentence."""
    rest = len(sentences) - MOST_NAMED
    return "; ".join(sentences[:MOST_NAMED]) + (f"; and {rest} more" if rest > 0 else "")


def may_have(body: Any, path: str) -> bool:
    """Return True unless the document shows that it lacks the path: a null on the way may stand for anything."""
    if body is None or (isinstance(body, Mapping) and path in body):
        return True
    name, _, rest = path.partition(".")
    if isinstance(body, Mapping):
        return name in body and (not rest or may_have(body[name], rest))
    if not isinstance(body, Sequence) or isinstance(body, str) or not name.isdecimal():
        return False
    return int(name) >= len(body) or not rest or may_have(body[int(name)], rest)


def _named(paths: Mapping[str, str | None]) -> dict[str, str]:
    return {key: path for key, path in paths.items() if path is not None}


def _effect(key: str, has_detail: bool) -> str:
    if key == "version":
        return ", so each import fetches all details again" if has_detail else ", so no item counts as unchanged"
    return ""
