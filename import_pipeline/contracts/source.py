"""The contract of a source: one remote collection, its list, its details and its limits."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar, Self

import httpx

from import_pipeline.contracts.answers import AnswerHooks
from import_pipeline.contracts.asset_attributes import AssetAttributes
from import_pipeline.contracts.batches import BatchHooks
from import_pipeline.contracts.connector import Connector
from import_pipeline.contracts.importable import Importable
from import_pipeline.contracts.incremental import IncrementalHooks
from import_pipeline.contracts.limits import RateLimits
from import_pipeline.contracts.notice import Notice
from import_pipeline.contracts.paginators import Paginator
from import_pipeline.contracts.slices import SliceHooks
from import_pipeline.contracts.tenants import TenantNames
from import_pipeline.errors import ContractError, SettingError
from import_pipeline.rules.partitions import Partitions, per_item
from import_pipeline.rules.slots import Slots, parse_slots, slot_faults
from import_pipeline.settings import SourceSettings, variable_prefix
from import_pipeline.settings.endpoint_limits import replaced


@dataclass(frozen=True, kw_only=True)
class Retry:
    """The tries of one item, and the delays between them in seconds. The last delay is used for all further tries."""

    tries: int = 5
    backoff: tuple[float, ...] = (30.0, 60.0, 120.0, 240.0)


#: Attributes that a setting of the same name overrides.
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


class ImportSource(
    TenantNames, AnswerHooks, AssetAttributes, BatchHooks, SliceHooks, IncrementalHooks, RateLimits, ABC
):
    """One remote collection: its list, its details, and its rate limits.

    Implement `name`, `model`, `list_request`, `items` and `stub`. Declare the paging in one way: by `pages`,
    `has_next_page` or `next_request`. Everything else has a default.

    Each setting of the environment (such as ITEMS_LIMITS) overrides the attribute of the same name. An instance may
    have a name of its own, and with it its own settings: `OrdersSource(name="orders_acme")`. Methods must not be
    `async` and must not send requests. If a method raises, the reason names it, with file and line. The page
    docs/adding-a-source.md lists the part of an import that each one fails.
    """

    model: ClassVar[type[Any]]  #: your mapped class, see `Importable`; its table is created if absent
    declared_in: str | None = None  #: the file of a declared source; None: it is written in Python
    hook_words: Mapping[str, str] = {}  #: of a declared source: hook -> the key of the declaration, as errors name it
    hook_values: Mapping[str, str] = {}  #: of a declared source: hook -> the word that it reads, as if it was its code

    #: How a list names its next page, such as `PageNumber()`. None: `has_next_page` or `next_request` decides.
    pages: Paginator | None = None
    per_page: int = 100  #: items requested per list page
    #: List pages after which the list counts as endless. Applies if the API reports no stable total.
    max_pages: int = 100_000
    #: Pages without items in a row (filters cause such pages) after which the list is left as incomplete.
    max_empty_pages: int = 100
    concurrency: int = 10  #: detail requests in flight at the start
    ceiling: int = 100  #: the most detail requests in flight, if answers are slow and the limits allow more
    shards: int = 1  #: number of runs that work on one import together
    overlap: bool = True  #: False: the whole list is discovered before the first detail is requested
    revision: int = 1  #: another number fetches all details again, once: for a new column, or a new `populate`
    read_twice: bool = False  #: True: repeat the list until two passes agree, to catch changes during paging
    conditional: bool = False  #: True: request details with the ETag of their last answer; 304 counts as unchanged
    keep_payloads: bool = False  #: True: store the start of a response that failed an item, with secrets masked
    retry: Retry = Retry()  #: tries per item and the delays between them
    timeout: float = 30.0  #: seconds for a whole request, body included
    max_body: int = 16 * 1024 * 1024  #: bytes of a body, both compressed and decompressed; longer ones are refused
    max_depth: int = 100  #: nesting levels of a JSON body; deeper ones are refused
    lease: float = 60.0  #: seconds without a heartbeat after which an import counts as stalled
    wait: float = 300.0  #: seconds that an import of selected items waits for a running import
    max_pause: timedelta = timedelta(hours=6)  #: the longest pause that the API may request before the import fails
    max_outage: float = 120.0  #: seconds without an answer from the API after which the import fails
    base_url: str = ""  #: such as "https://api.example.com/v2"; requests are relative to it
    #: Days after which the sensor deletes the item rows of an ended import, except failed ones. None: never.
    prune_days: float | None = None
    notify_url: str = ""  #: URL that receives notices of failed, incomplete and blocked imports as JSON; empty: none
    slots: str = "0,3,6,9,12,15,18,21"  #: hours or times of the day at which an import is due: "0,3" or "09:30,12:00"
    time_zone: str = "UTC"  #: the IANA time zone of the slots, such as "Europe/Berlin"
    #: Dagster partitions of the details: `per_item`, or `buckets(500)` for sources with over 10,000 items.
    partitions: Partitions = per_item

    @property
    def api(self) -> str:
        """The name that the rate limits belong to. Sources with the same value share permits and pauses.

        A source with a parent has the parent's.
        """
        return self.parent_api or self.name

    def list_request(self, *args: Any, **kwargs: Any) -> httpx.Request:
        """Return a request for the list, relative to the base URL.

        With `pages`, write `list_request(self)`: the request for the first page, without its number or cursor. Without
        `pages`, write `list_request(self, page: int, per_page: int)`: the request for that page, counted from 1:

            return httpx.Request("GET", "/orders", params={"page": page, "per_page": per_page})

        If it raises, the import fails. A source with slices has `slice_request` instead. One with `incremental` may
        have none: then a full import reads all changes since its `start`.
        """
        if self.incremental is None:
            raise ContractError(self.name, "list_request", "a method", "nothing")
        return self.changes_request(self.incremental.start, *args, **kwargs)

    @abstractmethod
    def items(self, list_response: httpx.Response) -> Iterable[Mapping[str, Any]]:
        """Return the items on a page, in their order; each is a mapping. This method may be a generator.

        If it raises, the page is requested again as often as `retry` says; then the import fails.
        """

    def has_next_page(self, list_response: httpx.Response) -> bool:
        """Return True if another page follows this one. Needed only without `pages` and without `next_request`."""
        expected = "a method, or `pages`, or a method next_request"
        raise ContractError(self.name, "has_next_page", expected, "none of them")

    @abstractmethod
    def stub(self, item: Mapping[str, Any], *args: Any, **kwargs: Any) -> Importable:
        """Return a new, unsaved row of `model` with its `external_id` and the values that the list contains.

        Write `stub(self, item)`; with slices `stub(self, item, key: str)`, which gets the slice's key. Columns that
        only the detail fills must be nullable. None never replaces a stored value. If it raises, the item fails.
        """

    def next_request(self, response: httpx.Response, page: int) -> httpx.Request | None:
        """Return the request after page number `page`, or None after the last page.

        The default counts pages while `has_next_page` returns True. Not used with `pages`. Override it for other
        cursors or links:

            def next_request(self, response, page):
                cursor = response.json().get("next_cursor")
                return httpx.Request("GET", "/orders", params={"cursor": cursor}) if cursor else None
        """
        return self.list_request(page + 1, self.per_page) if self.has_next_page(response) else None

    def detail(self, response: httpx.Response) -> Mapping[str, Any]:
        """Return the item's details from a successful response, for `populate`. The default reads a JSON object.

        Answers to the row's `more` are read by it, too.

        Override it for envelopes or other formats. Raise ValueError to reject the payload: the item fails permanently.
        """
        body = response.json()
        if not isinstance(body, Mapping):
            raise ValueError(f"expected a JSON object, got {type(body).__name__}")
        return body

    def total(self, list_response: httpx.Response) -> int | None:
        """Return the number of items in the whole list if this page reports it, else None.

        An import that found fewer items is marked as incomplete. By default it is the total that `pages` reads.
        """
        return None if self.pages is None else self.pages.total_of(list_response)

    def version(self, item: Mapping[str, Any]) -> str | None:
        """Return a fingerprint of the list item, such as its `updated_at`, or None if it has none.

        While the fingerprint is unchanged since the last import, the details are not requested again.
        """
        return None

    def cost(self, request: httpx.Request) -> int:
        """Return how many units of each limit a request uses, from 1. APIs call this weight, points or cost."""
        return 1

    def notify(self, notice: Notice) -> None:
        """Send a notice about an import that failed, is incomplete or is blocked. The default uses `notify_url`.

        It must return within four seconds. If it raises, it is called again later, at most five times.
        """

    def connector(self, settings: SourceSettings) -> Connector:
        """Return the connection data: by default base URL, timeout and, as a bearer token, the TOKEN setting.

        Raises SettingError if there is no base URL.
        """
        if not self.base_url:
            raise SettingError(
                f"{variable_prefix(self.name)}BASE_URL", "an address such as https://api.example.com", "nothing"
            )
        headers = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
        return Connector(base_url=self.base_url, headers=headers, timeout=self.timeout)

    def configured(self, settings: SourceSettings) -> Self:
        """Return a copy in which the environment's settings replace the class's values. Raises SettingError."""
        source = copy.copy(self)
        for name in _COPIED:
            if (value := getattr(settings, name)) is not None:
                setattr(source, name, replaced(source.limits_text, value) if name == "limits" else value)
        if settings.max_pause is not None:
            source.max_pause = timedelta(seconds=settings.max_pause)
        if settings.tries is not None:
            source.retry = replace(source.retry, tries=settings.tries)
        if settings.backoff is not None:
            source.retry = replace(source.retry, backoff=settings.backoff)
        if settings.slots is not None or settings.time_zone is not None:
            for name, expected, got in slot_faults(source.slots, source.time_zone):
                raise SettingError(variable_prefix(source.name) + name.upper(), expected, got)
        return source

    @property
    def timetable(self) -> Slots:
        """The parsed slots. Raises ValueError if `slots` or `time_zone` is invalid."""
        return parse_slots(self.slots, self.time_zone)
