"""What people are told of an import."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something that people should know of an import. `id` stays the same where it has to be told twice."""

    id: str
    occasion: str  #: failed, incomplete or blocked
    source: str
    import_id: int
    reason: str  #: a sentence, without secrets
    at: datetime

    @property
    def text(self) -> str:
        """All in a sentence."""
        return f"{self.source}, import {self.import_id}: {self.reason}"

    def as_json(self) -> dict[str, Any]:
        """What is sent to a web address; chat services show `text`."""
        return {"text": self.text, **vars(self), "at": self.at.isoformat()}
