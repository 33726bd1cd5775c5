"""Rules for slices: the keys that name them, and the sentence about those that were not read whole. No I/O."""

from dataclasses import dataclass
from hashlib import sha256

from import_pipeline.rules.external_ids import is_storable
from import_pipeline.wording import plural

LONGEST_KEY = 255
LONGEST_SHORT = 150


def is_key(value: object) -> bool:
    """Return True if the value may name a slice: a text that every database can store, and that is not too long."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_KEY and is_storable(value)


def short_key(key: str) -> str:
    """Return the key, or the beginning and a fingerprint of a long one: a part of a text of 255 characters."""
    return key if len(key) <= LONGEST_SHORT else f"{key[: LONGEST_SHORT - 17]}~{sha256(key.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, kw_only=True)
class SliceOutcome:
    """The slices of an import that were not read whole; `first_…` are the key and the reason of the first one."""

    count: int
    failed: int = 0
    incomplete: int = 0
    first_failed: tuple[str, str] | None = None
    first_incomplete: tuple[str, str] | None = None

    @property
    def reason(self) -> str | None:
        """The reason why the import is incomplete; None if each slice was read whole."""
        parts = []
        if self.first_failed is not None:
            key, reason = self.first_failed
            parts.append(f"{self.failed:,} of {plural(self.count, 'slice')} failed, first {key!r}: {reason}")
        if self.first_incomplete is not None:
            key, reason = self.first_incomplete
            verb = "is" if self.incomplete == 1 else "are"
            parts.append(f"{plural(self.incomplete, 'slice')} {verb} incomplete, first {key!r}: {reason}")
        return "; ".join(parts) or None
