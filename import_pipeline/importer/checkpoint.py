"""Where discovery stands: what is stored with each page, so that another process can go on."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from import_pipeline.redaction import redact


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where discovery stands after a page; stored with that page."""

    page: int = 0
    passes: int = 1
    next_url: str | None = None  #: None: page one, no further page, or one that its address alone does not tell
    next_method: str = "GET"
    fingerprint: str = ""  #: of the last page's ids
    digest: str = ""  #: of all pages of this pass
    digest_before: str = ""  #: of the pass before
    total: int | None = None
    seen: int = 0  #: items on the pages of this pass
    shifted: bool = False  #: the total changed during this pass
    shrunk: bool = False  #: the total fell during this pass: items may have slid onto pages that were read already
    sound: bool = False  #: in a pass before it did not
    repeated: bool = False  #: an item came twice in the first pass
    stale: int = 0  #: pages in a row without a new item, in the first pass
    stopped: str | None = None  #: why discovery ended before the list did
    complete: bool = False

    @classmethod
    def read(cls, stored: Mapping[str, Any] | None) -> "Checkpoint":
        """The checkpoint as stored; a new one where there is none, or none that can be gone on from."""
        checkpoint = cls(**stored) if stored else cls()
        lost = checkpoint.next_url is None and not checkpoint.complete
        # What was read before would look as if it came twice, so it counts as another pass.
        return cls(passes=checkpoint.passes + (checkpoint.page > 0)) if lost else checkpoint

    def dump(self) -> dict[str, Any]:
        """As stored: without an address that holds a secret, at the price of reading the list anew after a crash."""
        secret = self.next_url is not None and redact(self.next_url) != self.next_url
        return vars(self) | ({"next_url": None} if secret else {})

    def moves(self, total: int | None) -> bool:
        """Whether a page tells another total than the one before it."""
        return self.page > 0 and total != self.total

    def after(self, ids: Sequence[str], total: int | None) -> "Checkpoint":
        """The checkpoint after one more page, of those ids, that tells that total."""
        fingerprint = _fingerprint("\n".join(ids))
        moved = self.moves(total)
        fell = moved and total is not None and self.total is not None and total < self.total
        return replace(
            self,
            page=self.page + 1,
            fingerprint=fingerprint,
            digest=_fingerprint(self.digest + fingerprint),
            total=total,
            seen=self.seen + len(ids),
            shifted=self.shifted or moved,
            shrunk=self.shrunk or fell,
        )

    def ended(self, stopped: str | None = None) -> "Checkpoint":
        """With no further page; `stopped` says why, where the list itself has not ended."""
        return replace(self, complete=True, next_url=None, stopped=stopped or self.stopped)


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
