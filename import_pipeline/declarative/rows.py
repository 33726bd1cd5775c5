"""The mapped class of a declared source: its columns, the reading of items into them, the detail request."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import httpx
from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, Uuid
from sqlalchemy.orm import registry
from sqlalchemy.types import TypeEngine

from import_pipeline.declarative.groups import WindowWords
from import_pipeline.declarative.requests import request_of
from import_pipeline.declarative.sightings import Sightings
from import_pipeline.declarative.templates import placeholders
from import_pipeline.declarative.unfit import Unfit, shown
from import_pipeline.declarative.values import SLICE, column_type, read_value, value_at
from import_pipeline.declarative.windows import moment_of
from import_pipeline.declarative.words import Declaration
from import_pipeline.tracking.history import HasImportStatus

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_TABLE = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]{0,62}\.)?[A-Za-z_][A-Za-z0-9_]{0,62}")
_ID_TYPES: Mapping[str, TypeEngine[Any]] = {"text": String(255), "integer": BigInteger(), "uuid": Uuid()}
#: Attributes of `RequestedRow` and of SQLAlchemy that a column of the same name would hide.
_TAKEN = {"populate", "values", "detail_request", "statuses", "latest_status", "declaration", "fields", "sightings"}


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
        """Return the column's value in an item. Raises ValueError with column and path."""
        try:
            return self.read(value_at(item, self.path))
        except Unfit as error:
            raise ValueError(f"{self.name}: expected {error.expected} at {self.path}, got {error.got}") from None


class DeclaredRow(HasImportStatus):
    """A row of a declared source. Each declaration gets a class of its own with its columns as attributes."""

    declaration: ClassVar[Declaration]
    fields: ClassVar[tuple[Field, ...]]
    sightings: ClassVar[Sightings]

    def values(self) -> dict[str, Any]:
        """Return what placeholders may name: the id and the columns."""
        return {field.name: getattr(self, field.attribute) for field in self.fields} | {"id": self.external_id}

    def populate(self, detail: Mapping[str, Any]) -> None:
        """Set the columns that the detail has; what it lacks becomes null. Raises ValueError."""
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
    """Return the id of a list item. Raises ValueError."""
    found = value_at(item, declaration.id.path)
    expected = {"text": "a text or a whole number", "integer": "a whole number", "uuid": "a UUID"}
    is_one = isinstance(found, str | int) and not isinstance(found, bool)
    try:
        if not is_one:
            raise Unfit("", "")
        return read_value(_ID_TYPES[declaration.id.type], found)
    except Unfit:
        got = "nothing" if found is None else shown(found)
        raise ValueError(f"id: expected {expected[declaration.id.type]} at {declaration.id.path}, got {got}") from None


def mapped_class(declaration: Declaration) -> type[DeclaredRow]:
    """Return the row class of a declaration, mapped to its table. Raises Unfit."""
    name = declaration.table or declaration.name
    if not _TABLE.fullmatch(name):
        raise Unfit("a table name of letters, digits and underscores, or schema.name", shown(name), "table")
    for each in declaration.columns:
        _check_column(declaration, each)
    _check_placeholders(declaration)
    schema, _, bare = name.rpartition(".")
    table = Table(bare, MetaData(schema=schema or None), *_columns(declaration))
    title = "".join(part.capitalize() for part in declaration.name.split("_"))
    fields = _fields(declaration)
    documented = {"__module__": __name__, "__doc__": f"A row of {declaration.name}."}
    base = DeclaredRow if declaration.batch else RequestedRow
    parts = {"declaration": declaration, "fields": fields, "sightings": Sightings(declaration)}
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


def _check_column(declaration: Declaration, name: str) -> None:
    key = f"columns.{name}"
    if not _NAME.fullmatch(name):
        raise Unfit("a column name of at most 63 letters, digits and underscores", shown(name), "columns")
    if name.lower() in {"id", "external_id"}:
        raise Unfit("another name: the API's id is stored as external_id, the table's own as id", shown(name), key)
    if sum(name.lower() == each.lower() for each in declaration.columns) > 1:
        raise Unfit("a name that differs from others not only by capitals", shown(name), key)
    column, is_sliced = declaration.columns[name], bool(declaration.parent or declaration.slices)
    if column.from_list and declaration.detail is None and declaration.batch is None:
        raise Unfit("from_list only beside `detail`, since without it the list has all", "true", f"{key}.from_list")
    if column.path == SLICE and not is_sliced:
        raise Unfit("a path in the item; {slice} only beside `parent` or `slices`", SLICE, f"{key}.path")


def _check_placeholders(declaration: Declaration) -> None:
    """Raise Unfit for a placeholder in a path that is no column. Braces elsewhere may be the API's own syntax."""
    columns, detail, batch = {"id", *declaration.columns}, declaration.detail, declaration.batch
    if detail is not None:
        unknown = placeholders(detail.path) - columns
        if unknown:
            raise Unfit("placeholders {id} or {name of a column}", f"{{{min(unknown)}}}", "detail.path")
        if not placeholders([detail.path, detail.params, detail.body]) & columns:
            raise Unfit("a request that names the item, such as /orders/{id}", shown(detail.path), "detail")
    if batch is not None and not placeholders([batch.path, batch.params, batch.body]) & {"ids", *columns}:
        raise Unfit("a request that names the items by {ids}, or by {each: ...} in the body", "none", "batch")
    _check_list(declaration)


def _check_start(words: WindowWords) -> None:
    try:
        moment_of(words.start)
    except ValueError:
        raise Unfit("a date or time such as 2024-01-01", shown(words.start), "slices.start") from None


def _check_list(declaration: Declaration) -> None:
    """Raise Unfit for a list that its slices or changes cannot reach."""
    request, words = declaration.list, declaration.incremental
    is_sliced = bool(declaration.parent or declaration.slices)
    named = {each.partition(".")[0] for each in placeholders([request.path, request.params, request.body])}
    if isinstance(declaration.slices, WindowWords):
        _check_start(declaration.slices)
    if is_sliced != ("slice" in named):
        expected = "{slice} in the list's request" if is_sliced else "`parent` or `slices` beside {slice}"
        raise Unfit(expected, "none", "list")
    if words is None or words.param is not None:
        return
    changes = request if words.list is None else words.list
    if "since" not in placeholders([changes.path, changes.params, changes.body]):
        raise Unfit("a parameter, or a list with {since}", "neither", "incremental.param")
