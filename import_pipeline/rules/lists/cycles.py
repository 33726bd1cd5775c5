"""Detection of lists that go round in circles, of any length, in bounded memory. No I/O."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

#: So many of the latest fingerprints are remembered: a shorter circle shows when it closes.
LATEST = 20


@dataclass(frozen=True, kw_only=True)
class Trail:
    """The fingerprints met so far: the latest ones, and an older one for circles that are longer.

    The older one is renewed after 1, 2, 4, 8 … steps (Brent's algorithm), so a circle shows after three rounds at most.
    """

    latest: tuple[str, ...] = ()
    mark: str = ""
    steps: int = 0  #: since the mark was set
    renewed_after: int = 1

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> "Trail":
        """Return the trail that was stored."""
        return cls(**{**stored, "latest": tuple(stored["latest"])})

    def dump(self) -> dict[str, Any]:
        """Return the trail as it is stored."""
        return asdict(self) | {"latest": list(self.latest)}

    def has(self, fingerprint: str) -> bool:
        """Return True if it is known to have been met."""
        return fingerprint == self.mark or fingerprint in self.latest

    def after(self, fingerprint: str) -> "Trail":
        """Return the trail one step further."""
        latest = (*self.latest, fingerprint)[-LATEST:]
        if self.steps + 1 < self.renewed_after:
            return Trail(latest=latest, mark=self.mark, steps=self.steps + 1, renewed_after=self.renewed_after)
        return Trail(latest=latest, mark=fingerprint, renewed_after=2 * self.renewed_after)
