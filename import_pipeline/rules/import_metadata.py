"""Options and facts of an import: the typed content of its row's `metadata`, read and written only here. No I/O."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from import_pipeline.rules.resumes import ProgressMark


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """Options of an import, as its creator gave them."""

    full: bool = False  #: read the whole list, although the source has a bookmark
    fresh: bool = False  #: fetch every item anew, and delete rows that the list no longer has
    refetch: bool = False  #: fetch every item anew; rows that the list no longer has stay
    limit: int | None = None  #: number of items to read from the list
    only: tuple[str, ...] = ()  #: external ids to import
    numbers: tuple[tuple[int, int], ...] = ()  #: ranges of item numbers to import, ends included
    shards: int | None = None  #: number of workers; None: as the source's settings say

    @property
    def fetches_all(self) -> bool:
        """True if unchanged items are fetched, too."""
        return self.fresh or self.refetch

    @classmethod
    def read(cls, metadata: Mapping[str, Any]) -> "ImportOptions":
        """Read the options from an import's metadata."""
        return cls(
            full=bool(metadata.get("full")),
            fresh=bool(metadata.get("fresh")),
            refetch=bool(metadata.get("refetch")),
            limit=metadata.get("limit"),
            only=tuple(metadata.get("only", ())),
            numbers=tuple((first, last) for first, last in metadata.get("numbers", ())),
            shards=metadata.get("shards"),
        )

    def dump(self) -> dict[str, Any]:
        """Return the options as JSON values, without those that were not given."""
        values = {
            "full": self.full or None,
            "fresh": self.fresh or None,
            "refetch": self.refetch or None,
            "limit": self.limit,
            "only": list(self.only) or None,
            "numbers": [list(each) for each in self.numbers] or None,
            "shards": self.shards,
        }
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class ImportFacts:
    """Facts about an import that its workers recorded. None: not recorded. Each name is a key of the JSON."""

    limits: str | None = None  #: the rate limits of this import, as a setting writes them
    limits_learned: bool | None = None  #: they were inferred, not configured
    requests_by_endpoint: dict[str, int] | None = None  #: path prefix -> requests, if endpoints have limits
    mean_cost: float | None = None  #: cost units of a request, on average
    sleeps_before: int | None = None  #: the API's counter of sleeps at the start of the import
    slept_before: float | None = None  #: the API's seconds of sleep at the start of the import
    away_seconds: float | None = None  #: seconds in which no worker worked on it
    retry_wait_seconds: float | None = None  #: seconds in which only the next tries of failed items were waited for
    resumed_after: datetime | None = None  #: the moment at which work stopped; None once the gap is in `away_seconds`
    since: str | None = None  #: the position that it reads from; None: the whole list
    bookmark: str | None = None  #: the bookmark that it left
    bookmark_revision: int | None = None  #: of the bookmark when it began; None: its source has no bookmarks
    bookmark_import: int | None = None  #: the import that moved the bookmark that it reads from; None: a person set it
    positions: str | None = None  #: the fingerprint of `position()` when it began
    seen: str | None = None  #: the largest position that an import before has seen
    gone: int | None = None  #: items marked as removed from the list
    gone_unconfirmed: int | None = None  #: removed items, too many to be marked without a confirmation
    standing_at_resume: ProgressMark | None = None  #: the progress at the latest resume
    resumes_in_all: int | None = None  #: all resumes, those with progress included
    requests_at_release: int | None = None  #: requests sent until a worker released it because of the rate-limit store
    broke_off: str | None = None  #: the error with which the latest worker broke off, until another one takes over

    @classmethod
    def read(cls, metadata: Mapping[str, Any]) -> "ImportFacts":
        """Read the facts from an import's metadata."""
        values = {name: metadata.get(name) for name in _FACTS}
        resumed_after, standing = values["resumed_after"], values["standing_at_resume"]
        values["resumed_after"] = None if resumed_after is None else datetime.fromisoformat(resumed_after)
        values["standing_at_resume"] = None if standing is None else ProgressMark.read(standing)
        return cls(**values)

    def store(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Return the metadata with these facts in the place of its own; the options stay."""
        values = {name: getattr(self, name) for name in _FACTS}
        if self.resumed_after is not None:
            values["resumed_after"] = self.resumed_after.isoformat()
        if self.standing_at_resume is not None:
            values["standing_at_resume"] = asdict(self.standing_at_resume)
        others = {name: value for name, value in metadata.items() if name not in _FACTS}
        return others | {name: value for name, value in values.items() if value is not None}


_FACTS = tuple(each.name for each in fields(ImportFacts))
