"""What a user says of one remote collection."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar, Self

import httpx

from import_pipeline.contracts.connector import Connector
from import_pipeline.contracts.importable import Importable
from import_pipeline.contracts.notice import Notice
from import_pipeline.contracts.paginators import Paginator
from import_pipeline.errors import SettingError
from import_pipeline.rules.partitions import Partitions, per_item
from import_pipeline.rules.slots import Slots, parse_slots
from import_pipeline.settings import SourceSettings, variable_prefix


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How often an item is tried and the seconds between the tries; the last delay serves all further ones."""

    tries: int = 5
    backoff: tuple[float, ...] = (30.0, 60.0, 120.0, 240.0)


#: What a setting of the same name replaces.
_COPIED = (
    "limits",
    "per_page",
    "max_pages",
    "concurrency",
    "ceiling",
    "shards",
    "overlap",
    "timeout",
    "max_body",
    "slots",
    "time_zone",
    "lease",
    "wait",
    "max_outage",
    "base_url",
    "prune_days",
    "notify_url",
)


class ImportSource(ABC):
    """One remote collection: how to list it, how to read what comes, how fast it may be asked.

    Implement `name`, `model`, `list_request`, `items` and `stub`, and say how pages follow each other: by `pages`, by
    `has_next_page`, or by `next_request`. The rest has defaults.
    """

    name: ClassVar[str]
    model: ClassVar[type[Any]]  #: the importable's mapped class

    pages: Paginator | None = None  #: how a list names its next page; None: `has_next_page` or `next_request` does
    limits: str = ""  #: tiers in the notation of `limits`, all of which hold at once; empty: none
    per_page: int = 100
    max_pages: int = 100_000  #: list pages, where no lasting total is told; after more the list counts as endless
    max_empty_pages: int = (
        100  #: list pages in a row without items, as filters cause them; after more the list is given up
    )
    concurrency: int = 10  #: detail requests in flight to begin with
    ceiling: int = 100  #: detail requests in flight at most, where answers are slow and the limits allow more
    shards: int = 1  #: runs that work on one import at once
    overlap: bool = True  #: False: everything is discovered before the first detail
    read_twice: bool = False  #: the list is read until two readings agree, so that no change while paging goes unseen
    conditional: bool = False  #: details are asked for with the ETag of their last answer; 304 counts as unchanged
    keep_payloads: bool = False  #: the beginning of an answer that made an item fail is kept with it, secrets masked
    retry: Retry = Retry()
    timeout: float = 30.0  #: seconds for a whole request
    max_body: int = 16 * 1024 * 1024  #: bytes of an answer, packed and unpacked; a longer one is refused
    max_depth: int = 100  #: levels of an answer's JSON; one that nests deeper is refused
    lease: float = 60.0  #: seconds without a heartbeat after which an import counts as dead
    wait: float = 300.0  #: seconds that a re-import of chosen items waits for a running import
    max_pause: timedelta = timedelta(hours=6)  #: a longer pause asked for by the server ends the import
    max_outage: float = 120.0  #: seconds; an API that does not answer for longer ends the import
    owners: tuple[str, ...] = ()  #: who answers for it, for Dagster: `team:data` or mail addresses
    base_url: str = ""
    prune_days: float | None = None  #: the sensor drops item rows of imports that ended so long ago; None: never
    notify_url: str = ""  #: where notices of failed, incomplete and blocked imports are posted as JSON; empty: nowhere
    slots: str = "0,3,6,9,12,15,18,21"  #: hours or times of the day at which an import is due
    time_zone: str = "UTC"
    partitions: Partitions = per_item  #: Dagster's: `per_item`, or `buckets(500)` for sources of over 10,000 items

    @property
    def api(self) -> str:
        """What the limits belong to; sources that name the same api share permits and pauses."""
        return self.name

    @abstractmethod
    def list_request(self, *args: Any, **kwargs: Any) -> httpx.Request:
        """Return a request for the list, relative to the connector's base URL.

        With `pages`, write `list_request(self)`: the request for the first page, without its number or cursor. Without,
        write `list_request(self, page: int, per_page: int)`: the request for that page, from 1.
        """

    @abstractmethod
    def items(self, list_response: httpx.Response) -> Iterable[Mapping[str, Any]]:
        """The items on a page, in their order."""

    def has_next_page(self, list_response: httpx.Response) -> bool:
        """Return True if another page follows this one. Needed without `pages` and without `next_request` only."""
        raise NotImplementedError

    @abstractmethod
    def stub(self, item: Mapping[str, Any]) -> Importable:
        """A new, unsaved importable with its `external_id` and whatever the list item already tells."""

    def next_request(self, response: httpx.Response, page: int) -> httpx.Request | None:
        """The request after this page, None at the end. The default counts pages; override it for cursors or links."""
        return self.list_request(page + 1, self.per_page) if self.has_next_page(response) else None

    def detail(self, response: httpx.Response) -> Mapping[str, Any]:
        """The item's details in an answer of status 200; raise ValueError to reject it for good."""
        body = response.json()
        if not isinstance(body, Mapping):
            raise ValueError(f"expected a JSON object, got {type(body).__name__}")
        return body

    def total(self, list_response: httpx.Response) -> int | None:
        """How many items the list has in all, where a page tells."""
        return None

    def version(self, item: Mapping[str, Any]) -> str | None:
        """A fingerprint of the list item (an `updated_at`, say): while it stays, no detail is fetched. None: always."""
        return None

    def is_rate_limited(self, response: httpx.Response) -> bool:
        """Whether an answer that is no 429 means the same (a 403, or a 200 with an error in its body)."""
        return False

    def cost(self, request: httpx.Request) -> int:
        """How many places of every limit a request takes, from 1: what the API calls its weight, points or cost."""
        return 1

    def notify(self, notice: Notice) -> None:  # noqa: B027 - nobody has to write one
        """Tell people of an import that has failed, is incomplete or is blocked; the default leaves it to `notify_url`.

        It has four seconds. What it raises is noted, and it is called again later, five times at most.
        """

    def connector(self, settings: SourceSettings) -> Connector:
        """How the API is reached; the default takes base URL, bearer token and timeout from the settings."""
        if not self.base_url:
            raise SettingError(
                f"{variable_prefix(self.name)}BASE_URL", "an address such as https://api.example.com", "nothing"
            )
        headers = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
        return Connector(base_url=self.base_url, headers=headers, timeout=self.timeout)

    def configured(self, settings: SourceSettings) -> Self:
        """A copy on which what the environment says stands in place of the class's own values."""
        source = copy.copy(self)
        for name in _COPIED:
            if (value := getattr(settings, name)) is not None:
                setattr(source, name, value)
        if settings.max_pause is not None:
            source.max_pause = timedelta(seconds=settings.max_pause)
        if settings.tries is not None:
            source.retry = replace(source.retry, tries=settings.tries)
        if settings.backoff is not None:
            source.retry = replace(source.retry, backoff=settings.backoff)
        if settings.slots is not None or settings.time_zone is not None:
            source._check_slots(settings)
        return source

    @property
    def timetable(self) -> Slots:
        """The times at which an import is due; ValueError where they cannot be read."""
        return parse_slots(self.slots, self.time_zone)

    def _check_slots(self, settings: SourceSettings) -> None:
        """Raise SettingError for slots or a zone that the environment got wrong."""
        for name, read in (("SLOTS", (self.slots, "UTC")), ("TIME_ZONE", ("0", self.time_zone))):
            try:
                parse_slots(*read)
            except ValueError as error:
                expected, _, got = str(error).removeprefix("expected ").rpartition(", got ")
                raise SettingError(variable_prefix(self.name) + name, expected, got) from error
