"""Detect cyclic lists, with cycles of any length, in bounded memory. No I/O."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

#: Number of latest fingerprints kept: a shorter cycle is found as soon as it closes.
LATEST = 20


@dataclass(frozen=True, kw_only=True)
class Trail:
    """The fingerprints so far: the latest ones, and an older mark for longer cycles.

    The mark is renewed after 1, 2, 4, 8 … steps (Brent's algorithm): a cycle is found after three rounds at most.
    """

    latest: tuple[str, ...] = ()
    mark: str = ""
    steps: int = 0  #: since the mark was set
    renewed_after: int = 1

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> "Trail":
        """Return a stored trail."""
        return cls(**{**stored, "latest": tuple(stored["latest"])})

    def dump(self) -> dict[str, Any]:
        """Return the trail as it is stored."""
        return asdict(self) | {"latest": list(self.latest)}

    def has(self, fingerprint: str) -> bool:
        """Return True if the trail still has the fingerprint."""
        return fingerprint == self.mark or fingerprint in self.latest

    def after(self, fingerprint: str) -> "Trail":
        """Return the trail one step further."""
        latest = (*self.latest, fingerprint)[-LATEST:]
        if self.steps + 1 < self.renewed_after:
            return Trail(latest=latest, mark=self.mark, steps=self.steps + 1, renewed_after=self.renewed_after)
        return Trail(latest=latest, mark=fingerprint, renewed_after=2 * self.renewed_after)
