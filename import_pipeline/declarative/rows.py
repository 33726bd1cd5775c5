"""The mapped class of a declared source: its columns, the reading of items into them, the detail request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import httpx
from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, Uuid
from sqlalchemy.orm import registry
from sqlalchemy.types import TypeEngine

from import_pipeline.declarative.contract_words import hook_words
from import_pipeline.declarative.requests import request_of
from import_pipeline.declarative.sightings import Sightings
from import_pipeline.declarative.unfit import Unfit, shown
from import_pipeline.declarative.values import SLICE, column_type, near_path, outline, read_value, value_at
from import_pipeline.declarative.words import Declaration
from import_pipeline.tracking.history import HasImportStatus

_ID_TYPES: Mapping[str, TypeEngine[Any]] = {"text": String(255), "integer": BigInteger(), "uuid": Uuid()}
#: Attributes of `RequestedRow` and of SQLAlchemy that a column of the same name would hide.
_TAKEN = {"populate", "values", "detail_request", "statuses", "latest_status"}
_TAKEN |= {"declaration", "fields", "sightings", "hook_words"}


@dataclass(frozen=True, kw_only=True)
class Field:
    """A declared column, ready to be read from an item."""

    name: str
    attribute: str  #: the column's name, with an underscore if a method of the row has it
    path: str
    read: Callable[[Any], Any]
    from_list: bool

    @property
    def is_slice(self) -> bool:
        """True if the column holds the key of the item's slice."""
        return self.path == SLICE

    def value(self, item: Any) -> Any:
        """Return the column's value in an item. Raises Unfit with column and path."""
        try:
            return self.read(value_at(item, self.path))
        except Unfit as error:
            raise Unfit(f"{error.expected} at {self.path}", error.got, f"columns.{self.name}") from None


class DeclaredRow(HasImportStatus):
    """A row of a declared source. Each declaration gets a class of its own with its columns as attributes."""

    declaration: ClassVar[Declaration]
    fields: ClassVar[tuple[Field, ...]]
    sightings: ClassVar[Sightings]
    hook_words: ClassVar[Mapping[str, str]]

    def values(self) -> dict[str, Any]:
        """Return what placeholders may name: the id and the columns."""
        return {field.name: getattr(self, field.attribute) for field in self.fields} | {"id": self.external_id}

    def populate(self, detail: Mapping[str, Any]) -> None:
        """Set the columns that the detail has; what it lacks becomes null. Raises Unfit."""
        if not isinstance(detail, Mapping):  # of a batch; that of one item is checked where it is read
            raise Unfit("a JSON object for each item", outline(detail), "batch.item")
        self.sightings.of_detail(detail)
        for field in self.fields:
            if not field.from_list and not field.is_slice:
                setattr(self, field.attribute, field.value(detail))


class RequestedRow(DeclaredRow):
    """A row with a request for its details. One whose details come in batches has none."""

    def detail_request(self) -> httpx.Request | None:
        """Return the declared request for the details; None if the list has all."""
        detail = self.declaration.detail
        if detail is None:
            return None
        return request_of(detail, self.declaration, self.values())


def _fields(declaration: Declaration) -> tuple[Field, ...]:
    return tuple(
        Field(
            name=name,
            attribute=f"{name}_" if name in _TAKEN else name,
            path=column.path,
            read=partial(read_value, column_type(column.type)),
            from_list=column.from_list,
        )
        for name, column in declaration.columns.items()
    )


def id_of(declaration: Declaration, item: Any) -> Any:
    """Return the id of a list item. Raises Unfit."""
    found = value_at(item, declaration.id.path)
    expected = {"text": "a text or a whole number", "integer": "a whole number", "uuid": "a UUID"}
    is_one = isinstance(found, str | int) and not isinstance(found, bool)
    try:
        if not is_one:
            raise Unfit("", "")
        return read_value(_ID_TYPES[declaration.id.type], found)
    except Unfit:
        path = declaration.id.path
        question = near_path(item, path) if found is None else ""
        raise Unfit(f"{expected[declaration.id.type]} at {path}", shown(found), "id", question=question) from None


def mapped_class(declaration: Declaration) -> type[DeclaredRow]:
    """Return the row class of a declaration, mapped to its table."""
    schema, _, bare = (declaration.table or declaration.name).rpartition(".")
    table = Table(bare, MetaData(schema=schema or None), *_columns(declaration))
    title = "".join(part.capitalize() for part in declaration.name.split("_"))
    fields = _fields(declaration)
    documented = {"__module__": __name__, "__doc__": f"A row of {declaration.name}."}
    base = DeclaredRow if declaration.batch else RequestedRow
    parts: dict[str, Any] = {"declaration": declaration, "fields": fields, "sightings": Sightings(declaration)}
    parts["hook_words"] = hook_words(declaration)
    row = type(title, (base,), parts | documented)
    properties = {field.attribute: table.c[field.name] for field in fields}
    registry().map_imperatively(row, table, properties=properties)
    return row


def _columns(declaration: Declaration) -> list[Column[Any]]:
    found: list[Column[Any]] = [
        Column("id", Integer, primary_key=True),
        Column(
            "external_id", _ID_TYPES[declaration.id.type], unique=True, nullable=False, doc="The API's id of the item."
        ),
    ]
    for name, column in declaration.columns.items():
        found.append(Column(name, column_type(column.type), index=column.index, doc=f"{column.path} of the API's item"))
    return found
