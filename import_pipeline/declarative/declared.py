"""The hooks that every declared source has."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx

from import_pipeline.contracts import ImportSource, Paginator
from import_pipeline.contracts.asset_attributes import AssetAttributes
from import_pipeline.contracts.check import check_source
from import_pipeline.contracts.connector import Connector
from import_pipeline.contracts.incremental import Incremental
from import_pipeline.declarative.access import read_access
from import_pipeline.declarative.bodies import json_of, lines_of, says_error
from import_pipeline.declarative.contract_words import hook_values, hook_words, in_words
from import_pipeline.declarative.paging import read_pages
from import_pipeline.declarative.reading import NAMELESS, read_declaration
from import_pipeline.declarative.rows import DeclaredRow, id_of, mapped_class
from import_pipeline.declarative.sightings import may_have
from import_pipeline.declarative.unfit import PathMissing, Unfit
from import_pipeline.declarative.values import WHOLE, near_path, outline, value_at
from import_pipeline.declarative.words import Declaration, OptionWords
from import_pipeline.declarative.words_check import check_words
from import_pipeline.errors import ContractError
from import_pipeline.rules.partitions import Partitions
from import_pipeline.settings import SourceSettings

#: Options that are not attributes of the same name and type.
_CONVERTED = {"tries", "backoff", "max_pause", "partitions", "api"}


class Declared(ImportSource):
    """A source whose hooks read its declaration. `parts.py` has those that depend on its words."""

    model: type[DeclaredRow]  # type: ignore[misc]  # of each instance
    declaration: Declaration

    def __init__(self, **words: Any) -> None:
        self.declaration = declaration = read_declaration(words)
        super().__init__(name=declaration.name)
        try:
            self.pages: Paginator = read_pages(declaration.pages)
            check_words(declaration)
            self.model = mapped_class(declaration)
        except Unfit as error:
            label = NAMELESS if error.key == "name" else declaration.name
            raise ContractError(label, error.key, error.expected, error.got, problem=error.problem) from None
        self.hook_words, self.hook_values = hook_words(declaration), hook_values(declaration)
        self.base_url = declaration.base_url
        for name in AssetAttributes.__annotations__.keys() & Declaration.model_fields.keys() - {"name"}:
            setattr(self, name, getattr(declaration, name))
        self.details_per_request = None if declaration.batch is None else declaration.batch.size
        self.parent, self.changed_only = declaration.parent, declaration.changed_only
        self._api = declaration.api
        _set_options(self, declaration)
        _set_incremental(self, declaration)
        try:
            check_source(self)
        except ContractError as error:
            raise in_words(error, declaration) from None

    @property
    def api(self) -> str:
        """The declared name that the limits belong to; by default the parent's, or the source's."""
        return self._api or super().api

    def items(self, list_response: httpx.Response) -> Iterable[Mapping[str, Any]]:
        """Return the items of a page. A bare id becomes an item with nothing else. Raises Unfit."""
        body, path = _body(self.declaration, list_response), self.declaration.items
        found = value_at(body, path)
        self.model.sightings.of_page(body)
        if not isinstance(found, list):
            raise _no_list(body, path)
        return [each if isinstance(each, Mapping) else {self.declaration.id.path: each} for each in found]

    def stub(self, item: Mapping[str, Any], *keys: Any, **others: Any) -> Any:
        """Return a row with the id and the columns that the list has; `keys` is the key of its slice, if any."""
        row = self.model(external_id=id_of(self.declaration, item))  # type: ignore[call-arg]
        row.sightings.of_item(item)
        for field in row.fields:
            setattr(row, field.attribute, keys[0] if field.is_slice else field.value(item))
        return row

    def version(self, item: Mapping[str, Any]) -> str | None:
        """Return the declared value that changes with the item."""
        return _as_text(item, self.declaration.version)

    def total(self, list_response: httpx.Response) -> int | None:
        """Return the declared number of items, if the page reports it."""
        if self.declaration.total is None:
            return super().total(list_response)
        found = value_at(_body(self.declaration, list_response), self.declaration.total)
        is_number = isinstance(found, int) and not isinstance(found, bool)
        return int(found) if is_number or (isinstance(found, str) and found.isdecimal()) else None

    def cost(self, request: httpx.Request) -> int:
        """Return the declared cost: that of the list for its path, else that of a detail or batch."""
        words, detail = self.declaration.list, self.declaration.detail or self.declaration.batch
        if detail is None or detail.cost == words.cost:
            return words.cost
        return words.cost if request.url.path.endswith(words.path.partition("?")[0]) else detail.cost

    def connector(self, settings: SourceSettings) -> Connector:
        """Return the connection data, with the declared credentials. Raises SettingError."""
        connector = replace(super().connector(settings), origins=self.declaration.origins)
        if self.declaration.auth is None:
            return connector
        return read_access(self.declaration.auth).applied(connector, settings)

    def position(self, item: Mapping[str, Any]) -> str | None:
        """Return the declared value that grows with each change."""
        return None if self.declaration.incremental is None else _as_text(item, self.declaration.incremental.position)

    def is_deleted(self, item: Mapping[str, Any]) -> bool:
        """Return the declared value that is true for a deleted item."""
        words = self.declaration.incremental
        found = None if words is None or words.deleted is None else value_at(item, words.deleted)
        return found.strip().lower() not in {"", "false", "no", "0"} if isinstance(found, str) else bool(found)


def _no_list(body: Any, path: str) -> Unfit:
    """Return the error of a page without a list at the path.

    A null there may stand for anything, and an answer with an error may be another one later: neither proves that the
    declared path is wrong.
    """
    found, place = value_at(body, path), "the top of the answer" if path == WHOLE else f"{path} in the answer"
    is_lacking = found is not None or not may_have(body, path)
    is_proof = isinstance(body, Mapping | list) and is_lacking and not says_error(body)
    question = near_path(body, path, is_list=True) if is_proof else ""
    error = PathMissing if is_proof else Unfit
    return error(f"a list at {place}", outline(body if found is None else found), "items", question=question)


def _as_text(item: Any, path: str | None) -> str | None:
    found = None if path is None else value_at(item, path)
    return None if found is None else found if isinstance(found, str) else json.dumps(found, sort_keys=True)


def _body(declaration: Declaration, response: httpx.Response) -> Any:
    return (lines_of if declaration.format == "ndjson" else json_of)(response, "items")


def _set_options(source: Declared, declaration: Declaration) -> None:
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


def _set_incremental(source: Declared, declaration: Declaration) -> None:
    words = declaration.incremental
    if words is not None:
        source.incremental = Incremental(start=words.start, lookback=words.lookback, full_every=words.full_every)
        source.order = words.order
