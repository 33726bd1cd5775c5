"""The notice that `notify` and `notify_url` receive."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A notice about one import: it failed, is incomplete or is blocked. A repeated delivery has the same `id`."""

    id: str
    occasion: str  #: `failed`, `incomplete` or `blocked`
    source: str
    import_id: int
    reason: str  #: a sentence, without secrets
    at: datetime

    @property
    def text(self) -> str:
        """The whole notice in one sentence, such as "items, import 7: the API answered 401"."""
        return f"{self.source}, import {self.import_id}: {self.reason}"

    def as_json(self) -> dict[str, Any]:
        """Return the body that is posted to `notify_url`. Chat services show its `text`."""
        return {"text": self.text, **vars(self), "at": self.at.isoformat()}
