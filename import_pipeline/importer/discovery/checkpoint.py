"""The point that discovery has reached: stored with each page, so that another process can resume there."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from import_pipeline.rules.lists.cycles import Trail
from import_pipeline.rules.lists.read_mark import ReadMark


@dataclass(frozen=True, kw_only=True)
class Basis:
    """The conditions under which a checkpoint is valid. If one differs, the list is read from page 1."""

    per_page: int
    base: str  #: the base address, secrets masked
    first: str  #: the fingerprint of the list's first request: its path, order, filters
    items: str | None = None  #: the declared path of the items; None: no path, or not known
    versions: str = ""  #: the fingerprint of `version()`; a difference forgets stored versions only

    def difference(self, now: "Basis") -> str | None:
        """Return the difference between then and now; None if there is none."""
        if self.per_page != now.per_page:
            return f"the page size was {self.per_page} and is {now.per_page}"
        if self.base != now.base:
            return f"the base address was {self.base} and is {now.base}"
        return None if self.first == now.first else "its first request is different"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The point that discovery has reached after a page; stored with that page."""

    basis: Basis | None = None  #: None: nothing has been read yet
    page: int = 0
    passes: int = 1
    is_known: bool = False  #: items of this import were read before this reading of the list
    rejections: int = 0  #: times that the API did not accept the request for a later page
    next_request: Mapping[str, Any] | None = None  #: None: page one, no further page, or one that cannot be stored
    fingerprint: str = ""  #: of the last page's ids
    digest: str = ""  #: of all pages of this pass
    digest_before: str = ""  #: of the pass before
    total: int | None = None
    seen: int = 0  #: items on the pages of this pass
    empty: int = 0  #: pages in a row without items
    absent: int = 0  #: pages in a row without a body
    is_short: bool = False  #: a page of this import was shorter than requested, and not the last
    pages: Trail = field(default_factory=Trail)  #: fingerprints of this pass's pages
    requests: Trail = field(default_factory=Trail)  #: fingerprints of the requests for them
    is_page_again: bool = False  #: the last page has the items of one before it
    is_request_again: bool = False  #: the last page was requested before
    shifted: bool = False  #: the total changed during this pass
    shrunk: bool = False  #: the total fell during this pass: items may have slid onto pages that were read already
    sound: bool = False  #: an earlier pass ended without a fall of the total, and without items that moved
    repeated: bool = False  #: an item came twice in the first pass
    stale: int = 0  #: pages in a row without a new item
    is_unchanged: bool = False  #: the source said that the list is as it was: it names no items
    is_capped: bool = False  #: the list has as many items as the API gives of one
    stopped: str | None = None  #: why discovery ended before the list did
    complete: bool = False
    mark: ReadMark = field(default_factory=ReadMark)  #: what the bookmark of an incremental source may become
    rowless: int = 0  #: items on the pages of this pass without an item row: tombstones, and items below the bookmark
    deleted: int = 0  #: items that tombstones of this import have marked as gone
    owed: int = 0  #: items of earlier imports that were added after the list
    #: An import of changes reads this slice whole, and its parts.
    is_whole: bool = False

    @classmethod
    def read(cls, stored: Mapping[str, Any] | None) -> "Checkpoint":
        """Return the stored checkpoint; a new one if there is none, or if this version cannot read it."""
        if not stored:
            return cls()
        try:
            trails = {name: Trail.read(stored[name]) for name in ("pages", "requests") if name in stored}
            basis, mark = stored.get("basis"), ReadMark.read(stored.get("mark"))
            return cls(**{**stored, **trails, "basis": basis and Basis(**basis), "mark": mark})
        except (TypeError, KeyError):
            return cls(is_known=True)

    def dump(self) -> dict[str, Any]:
        """Return the checkpoint as it is stored."""
        parts = {"pages": self.pages.dump(), "requests": self.requests.dump(), "mark": self.mark.dump()}
        return {**vars(self), **parts, "basis": self.basis and vars(self.basis)}

    @property
    def is_refuted(self) -> bool:
        """True if the list has more items than its total, which then is capped and does not end the list."""
        return self.total is not None and self.seen > self.total

    @property
    def shows_new(self) -> bool:
        """True on the first reading: there, an item that is new to the import is new to the reading."""
        return self.passes == 1 and not self.is_known

    def moves(self, total: int | None) -> bool:
        """Return True if a page reports a different total than the previous page."""
        return self.page > 0 and total != self.total

    def after(self, ids: Sequence[str], total: int | None, *, request: str, is_absent: bool = False) -> "Checkpoint":
        """Return the checkpoint after one more page with these ids and this total.

        `request` is the fingerprint of the page's request.
        """
        fingerprint = fingerprint_of("\n".join(ids))
        moved = self.moves(total)
        fell = moved and total is not None and self.total is not None and total < self.total
        return replace(
            self,
            page=self.page + 1,
            fingerprint=fingerprint,
            digest=fingerprint_of(self.digest + fingerprint) if ids else self.digest,
            total=total,
            seen=self.seen + len(ids),
            empty=0 if ids else self.empty + 1,
            absent=self.absent + 1 if is_absent else 0,
            pages=self.pages.after(fingerprint) if ids else self.pages,
            requests=self.requests.after(request),
            is_page_again=bool(ids) and self.pages.has(fingerprint),
            is_request_again=self.requests.has(request),
            shifted=self.shifted or moved,
            shrunk=self.shrunk or fell,
        )

    def ended(self, stopped: str | None = None) -> "Checkpoint":
        """Return the checkpoint without a further page; `stopped` says why, if the list itself has not ended."""
        return replace(self, complete=True, next_request=None, stopped=stopped or self.stopped)

    def capped(self, reason: str) -> "Checkpoint":
        """Return the checkpoint at the end that the API sets to a list, however many items there are."""
        return replace(self.ended(reason), is_capped=True)

    def restarted(self, *, is_rejected: bool = False) -> "Checkpoint":
        """Return the checkpoint before page one, to start the same reading of the list again."""
        return Checkpoint(
            passes=self.passes,
            is_known=self.is_known or self.page > 0,
            rejections=self.rejections + is_rejected,
            digest_before=self.digest_before,
            sound=self.sound,
            is_short=self.is_short,
            mark=self.mark.next_pass(),
            deleted=self.deleted,
            is_whole=self.is_whole,
        )

    def next_pass(self, *, has_skipped: bool = False) -> "Checkpoint":
        """Return the checkpoint before page one, for another reading of a list that has changed.

        `has_skipped`: items moved in this pass, so that others may have slid past it.
        """
        return Checkpoint(
            basis=self.basis,
            passes=self.passes + 1,
            is_known=True,
            rejections=self.rejections,
            total=self.total,
            digest_before=self.digest,
            sound=self.sound or not (self.shrunk or has_skipped),
            is_short=self.is_short,
            mark=self.mark.next_pass(),
            deleted=self.deleted,
            is_whole=self.is_whole,
        )


def fingerprint_of(text: str) -> str:
    """Return a short fingerprint of the text."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]
