"""A source in a few words, without a class."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx

from import_pipeline.contracts import ImportSource, Paginator
from import_pipeline.contracts.asset_attributes import AssetAttributes
from import_pipeline.declarative.paging import read_pages
from import_pipeline.declarative.reading import read_declaration
from import_pipeline.declarative.requests import request_of
from import_pipeline.declarative.rows import DeclaredRow, id_of, mapped_class
from import_pipeline.declarative.unfit import Unfit, shown
from import_pipeline.declarative.values import WHOLE, value_at
from import_pipeline.declarative.words import Declaration, OptionWords
from import_pipeline.errors import ContractError
from import_pipeline.rules.partitions import Partitions

#: Options that are not attributes of the same name and type.
_CONVERTED = {"tries", "backoff", "max_pause", "partitions", "api"}
_CREDENTIALS = {"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"}


@dataclass(frozen=True)
class Column:
    """A declared column: `Column("amount", Numeric)`. The type is one of SQLAlchemy, or a word such as "integer"."""

    path: str  #: the path of the value in the detail, or in the list item: `customer.email`, `lines.0.sku`
    type: Any = "text"
    index: bool = False
    from_list: bool = False  #: True: only the list has the value, the detail does not


class RestSource(ImportSource):
    """A source that is declared in words instead of written as a class.

    source = RestSource(
        name="orders", base_url="https://api.example.com", limits="100/10 second",
        list="/orders", items="data", version="updated_at", pages=PageNumber(more="has_more"),
        detail="/orders/{id}", columns={"email": "customer.email", "total": Column("amount", Numeric)},
    )

    docs/sources/declarative.md has all words. They are the same in YAML and in the Dagster component. Raises
    ContractError, which names the key.
    """

    model: type[DeclaredRow]  # type: ignore[misc]  # of each instance

    def __init__(self, **words: Any) -> None:
        self.declaration = declaration = read_declaration(words)
        super().__init__(name=declaration.name)
        try:
            self.pages: Paginator = read_pages(declaration.pages)
            self.model = mapped_class(declaration)
            _check_headers(declaration)
        except Unfit as error:
            raise ContractError(declaration.name, error.key, error.expected, error.got) from None
        self.base_url = declaration.base_url
        for name in AssetAttributes.__annotations__.keys() & Declaration.model_fields.keys():
            setattr(self, name, getattr(declaration, name))
        self._api = declaration.api or declaration.name
        _set_options(self, declaration)

    @property
    def api(self) -> str:
        """The declared name that the limits belong to; by default the source's."""
        return self._api

    def list_request(self) -> httpx.Request:
        """Return the declared request for the first page."""
        return request_of(self.declaration.list, self.declaration, {})

    def items(self, list_response: httpx.Response) -> Iterable[Mapping[str, Any]]:
        """Return the items of a page. A bare id becomes an item with nothing else. Raises ValueError."""
        body, path = _body(self.declaration, list_response), self.declaration.items
        found = value_at(body, path)
        if not isinstance(found, list):
            place = "the answer" if path == WHOLE else f"{path} in the answer"
            raise ValueError(f"items: expected a list at {place}, got {_outline(found if path == WHOLE else body)}")
        return [each if isinstance(each, Mapping) else {self.declaration.id.path: each} for each in found]

    def stub(self, item: Mapping[str, Any]) -> DeclaredRow:
        """Return a row with the id and the columns that the list has."""
        row = self.model(external_id=id_of(self.declaration, item))  # type: ignore[call-arg]
        for field in row.fields:
            setattr(row, field.attribute, field.value(item))
        return row

    def detail(self, response: httpx.Response) -> Mapping[str, Any]:
        """Return the item in a detail's answer. Raises ValueError."""
        words = self.declaration.detail
        path = WHOLE if words is None else words.item
        body = response.json()
        found = value_at(body, path)
        if not isinstance(found, Mapping):
            place = "" if path == WHOLE else f" at {path}"
            raise ValueError(f"detail: expected a JSON object{place}, got {_outline(body)}")
        return found

    def version(self, item: Mapping[str, Any]) -> str | None:
        """Return the declared value that changes with the item."""
        found = None if self.declaration.version is None else value_at(item, self.declaration.version)
        return None if found is None else found if isinstance(found, str) else json.dumps(found, sort_keys=True)

    def total(self, list_response: httpx.Response) -> int | None:
        """Return the declared number of items, if the page reports it."""
        if self.declaration.total is None:
            return None
        found = value_at(_body(self.declaration, list_response), self.declaration.total)
        is_number = isinstance(found, int) and not isinstance(found, bool)
        return int(found) if is_number or (isinstance(found, str) and found.isdecimal()) else None

    def cost(self, request: httpx.Request) -> int:
        """Return the declared cost: that of the list for its path, else that of a detail."""
        words, detail = self.declaration.list, self.declaration.detail
        if detail is None or detail.cost == words.cost:
            return words.cost
        return words.cost if request.url.path.endswith(words.path.partition("?")[0]) else detail.cost


def _body(declaration: Declaration, response: httpx.Response) -> Any:
    if declaration.format == "ndjson":
        return [json.loads(line) for line in response.text.splitlines() if line.strip()]
    return response.json()


def _outline(value: object) -> str:
    """Return the kind of a JSON value, and the keys of an object."""
    if isinstance(value, Mapping):
        return f"an object with {', '.join(list(map(str, value))[:10])}" if value else "an empty object"
    return "a list" if isinstance(value, list) else shown(value)


def _set_options(source: RestSource, declaration: Declaration) -> None:
    for name in OptionWords.model_fields.keys() - _CONVERTED:
        if (value := getattr(declaration, name)) is not None:
            setattr(source, name, value)
    if declaration.tries is not None:
        source.retry = replace(source.retry, tries=declaration.tries)
    if declaration.backoff is not None:
        source.retry = replace(source.retry, backoff=declaration.backoff)
    if declaration.max_pause is not None:
        source.max_pause = timedelta(seconds=declaration.max_pause)
    if isinstance(declaration.partitions, int):
        if declaration.partitions < 1:
            expected = "per_item, or a whole number from 1"
            raise ContractError(source.name, "partitions", expected, str(declaration.partitions))
        source.partitions = Partitions(declaration.partitions)


def _check_headers(declaration: Declaration) -> None:
    """Raise Unfit for a header that holds a credential: a declaration is stored and shown as it is."""
    groups = {"headers": declaration.headers, "list.headers": declaration.list.headers}
    groups |= {"detail.headers": declaration.detail.headers} if declaration.detail else {}
    for key, headers in groups.items():
        for name in headers:
            if name.lower() in _CREDENTIALS:
                setting = "a credential in `auth`, or a bearer token in the setting TOKEN"
                raise Unfit(setting, "a value that is not shown", f"{key}.{name}")
