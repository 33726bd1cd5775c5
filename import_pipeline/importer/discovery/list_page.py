"""One list of a source, read with the source's hooks: its requests, items and total."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx

from import_pipeline.contracts import Importable, ImportSource
from import_pipeline.contracts.batches import is_batched
from import_pipeline.contracts.hooks import label_of
from import_pipeline.contracts.paginators import Cursor, LastId, ListCutShort, PageNumber
from import_pipeline.errors import HookFailed
from import_pipeline.importer.runtime.response_errors import describe_missing_list
from import_pipeline.importer.user_code.answers import stated_action
from import_pipeline.importer.user_code.hooks import (
    FLAG,
    ITEMS,
    POSITION,
    REQUEST,
    REQUEST_OR_NONE,
    TEXT,
    TOTAL,
    VERSION,
    Returns,
    call_hook,
    instance,
)
from import_pipeline.rules.external_ids import LONGEST_ID, is_external_id
from import_pipeline.rules.lists.page_status import PageVerdict, judge_page
from import_pipeline.rules.lists.positions import Position
from import_pipeline.rules.lists.slice_keys import short_key
from import_pipeline.settings import variable_prefix
from import_pipeline.tracking.lists.list_pages import Discovered
from import_pipeline.tracking.user_rows.row_ids import item_id
from import_pipeline.tracking.user_rows.tenant_rows import owned

NO_ITEMS = "the response is a page without items"


@dataclass(frozen=True, kw_only=True)
class SourceList:
    """One list of a source, as the source's hooks read it."""

    source: ImportSource
    key: str | None = None  #: of the slice; None: the source has one list
    token_setting: str = ""  #: where the token comes from; empty: the setting TOKEN

    @property
    def title(self) -> str:
        """The beginning of a sentence about the list."""
        return "The list" if self.key is None else f"The list of slice {self.key!r}"

    @property
    def hook(self) -> str:
        """The name of the hook that builds the list's requests."""
        if self.key is not None:
            return "slice_request"
        return "list_request" if self.source.since is None else "changes_request"

    @property
    def is_numbered(self) -> bool:
        """True if the list's pages have numbers, which is the default."""
        if self.source.pages is not None:
            return isinstance(self.source.pages, PageNumber)
        return type(self.source).next_request is ImportSource.next_request

    @property
    def may_skip(self) -> bool:
        """True if pages may skip an item while others move: all but those that begin after a given item."""
        return not isinstance(self.source.pages, Cursor | LastId)

    def first_request(self, page: int = 1) -> httpx.Request:
        """Return the request for page one, or for a later page of a numbered list. Raises HookFailed."""
        pages, per_page = self.source.pages, self.source.per_page
        if pages is None:
            return self._request(page, per_page)
        request = self._request()
        if isinstance(pages, PageNumber):
            return call_hook(pages, "at", request, page, per_page, returns=REQUEST)
        return call_hook(pages, "first", request, per_page, returns=REQUEST)

    def _request(self, *numbers: int) -> httpx.Request:
        """Return the source's request for the list, or for what changed in it. Raises HookFailed."""
        given = {"slice_request": self.key, "changes_request": self.source.since}.get(self.hook)
        first = () if given is None else (given,)
        return call_hook(self.source, self.hook, *first, *numbers, returns=REQUEST)

    def next_request(self, response: httpx.Response, page: int) -> httpx.Request | None:
        """Return the request after that page, None at the end. Raises HookFailed and ListCutShort."""
        source = self.source
        if source.pages is not None:
            given = (self.first_request(), response, self.items(response), source.per_page)
            passes = (ListCutShort,)
            return call_hook(
                source.pages, "following", *given, returns=REQUEST_OR_NONE, response=response, passes=passes
            )
        if not self.is_numbered:
            return call_hook(source, "next_request", response, page, returns=REQUEST_OR_NONE, response=response)
        # The default hook, step by step: an error then names the hook that caused it.
        has_next = call_hook(source, "has_next_page", response, returns=FLAG, response=response)
        return self.first_request(page + 1) if has_next else None

    def verdict(self, response: httpx.Response, *, is_first: bool) -> tuple[PageVerdict, str]:
        """Return the action of discovery on a response, and the reason unless the page can be used."""
        setting = self.token_setting or f"{variable_prefix(self.source.name)}TOKEN"
        return judge_page(response.status_code, setting=setting, stated=stated_action(response), is_first=is_first)

    def first_page_problem(self, response: httpx.Response) -> str | None:
        """Return why the response to the request for page one has no items to read; None if it may have some."""
        verdict, reason = self.verdict(response, is_first=True)
        if verdict is PageVerdict.READ:
            return None
        missing = None if stated_action(response) else describe_missing_list(self.source, response, self.hook)
        return f"list page 1: {missing or reason or NO_ITEMS}"

    def items(self, response: httpx.Response) -> list[Any]:
        """Return the items on a page, as the source reads them. Raises HookFailed."""
        return call_hook(self.source, "items", response, returns=ITEMS, response=response)

    def total(self, response: httpx.Response) -> int | None:
        """Return the total that the page reports, or None. Raises HookFailed."""
        return call_hook(self.source, "total", response, returns=TOTAL, response=response)

    def problem(self, response: httpx.Response) -> HookFailed | None:
        """Return the error if the response is no page of the list; None if it is one."""
        try:
            self.items(response)
            if self.source.pages is None and self.is_numbered:  # else nothing calls it
                call_hook(self.source, "has_next_page", response, returns=FLAG, response=response)
        except HookFailed as error:
            return error
        return None

    def parse(self, response: httpx.Response, page: int) -> list[Discovered]:
        """Return the page's items; one that the source cannot read is included with its problem. Raises HookFailed."""
        of_slice = "" if self.key is None else f"slice {short_key(self.key)}, "
        return [
            self._discovered(response, item, f"{of_slice}page {page}, item {number}")
            for number, item in enumerate(self.items(response), start=1)
        ]

    def detail_request(self, items: Sequence[Any]) -> httpx.Request | None:
        """Return a detail request for list items: for the first, or for as many as one request may ask for.

        None if the list has the whole item. Raises HookFailed.
        """
        source = self.source
        rows = [self._stub(item, None)[0] for item in items[: source.details_per_request or 1]]
        if self._is_whole(rows[0]):
            return None
        if is_batched(source):
            return call_hook(source, "details_request", rows, returns=REQUEST)
        return call_hook(rows[0], "detail_request", returns=REQUEST_OR_NONE)

    def _is_whole(self, importable: Importable) -> bool:
        """Return True if the list has the whole item: its row has no detail request. Raises HookFailed."""
        if not hasattr(importable, "detail_request"):
            return not is_batched(self.source)
        return call_hook(importable, "detail_request", returns=REQUEST_OR_NONE) is None

    def _stub(self, item: Any, response: httpx.Response | None) -> tuple[Importable, str]:
        """Return the stub of a list item, and its id as text. Raises HookFailed."""
        given = (item,) if self.key is None else (item, self.key)
        return call_hook(self.source, "stub", *given, returns=self._stub_type, response=response)

    @cached_property
    def _stub_type(self) -> Returns[tuple[Importable, str]]:
        return _stub_of(self.source)

    def _discovered(self, response: httpx.Response, item: Any, place: str) -> Discovered:
        """Return one list item as the source reads it; an unreadable one becomes a failed item, and is not lost."""
        external_id = f"({place})"
        try:
            importable, found = self._stub(item, response)
            if (wrong := _id_problem(found, item)) is not None:
                raise HookFailed(label_of(self.source, "stub"), wrong)
            external_id = found
            if self._is_deleted(item, response):
                position = self._position(item, response)[0]
                return Discovered(external_id=found, importable=None, position=position, is_deleted=True)
            version = call_hook(self.source, "version", item, returns=VERSION, response=response)
            whole = self._is_whole(importable)
        except HookFailed as error:
            return Discovered(
                external_id=external_id,
                importable=None,
                problem=str(error),
                is_named=external_id != f"({place})",
                by_id=False,
                position=self._position(item, response)[0],
            )
        position, problem = self._position(item, response)
        return Discovered(
            external_id=external_id,
            importable=importable if problem is None else None,
            version=version,
            whole=whole,
            problem=problem,
            by_id=not whole,
            position=position,
        )

    def _is_deleted(self, item: Any, response: httpx.Response) -> bool:
        """Return True for a tombstone. Raises HookFailed."""
        if type(self.source).is_deleted is ImportSource.is_deleted:
            return False
        return call_hook(self.source, "is_deleted", item, returns=FLAG, response=response)

    def _position(self, item: Any, response: httpx.Response) -> tuple[Position | None, str | None]:
        """Return the position of a list item, if the source is incremental, and why there is none."""
        if self.source.incremental is None:
            return None, None
        try:
            return call_hook(self.source, "position", item, returns=POSITION, response=response), None
        except HookFailed as error:
            return None, str(error)


def _stub_of(source: ImportSource) -> Returns[tuple[Importable, str]]:
    """Return the type of a stub, which is read as a row of the source and its id as text."""
    model = source.model
    stub = instance(model, f"a new {model.__name__}")

    def read(value: Any) -> tuple[Importable, str]:
        importable = owned(stub.read(value), source)
        external_id = importable.external_id
        return importable, "" if external_id is None else item_id(model, TEXT.read(external_id))

    return Returns(stub.expected, read)


def _id_problem(external_id: str, item: object) -> str | None:
    """Return why the text cannot be the id of that list item; None if it can."""
    if not is_external_id(external_id):
        return f"must return an external_id of 1 to {LONGEST_ID} characters, got {external_id[:40]!r}"
    if _is_null(external_id, item):
        return "returns the external_id 'None', as str() of a missing value does: the item has no id"
    return None


def _is_null(external_id: str, item: object) -> bool:
    """Return True if the id is the text of None, and the item has no such text but a value that is missing.

    All items without an id would be one row.
    """
    if external_id != str(None) or not isinstance(item, Mapping):
        return False
    values = list(item.values())
    return None in values and external_id not in values
