"""The words of a declaration: one model for Python, YAML files and the Dagster component.

A text may stand for a group of words: `list: /orders` means `list: {path: /orders}`.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from import_pipeline.declarative.paging import pages_schema, read_pages
from import_pipeline.declarative.unfit import Unfit, shown
from import_pipeline.declarative.values import TYPES, column_type

#: Values that Dagster's templates replace are read after that.
TEMPLATE = "{{"


def _as_text(value: object) -> object:
    """Return a date or number as the text that it was in a YAML file: YAML reads unquoted dates as dates."""
    if isinstance(value, datetime):
        zoned = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return zoned.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _parameter(value: object) -> object:
    """Return a query parameter: a text, a number, true, false, or a list of these."""
    if isinstance(value, list | tuple):
        return [_parameter(each) for each in value]
    value = value.isoformat() if isinstance(value, date) else value
    if value is not None and not isinstance(value, str | int | float | bool):
        raise Unfit("a text, a number, true, false, or a list of these", shown(value))
    return value


def _checked(read: Callable[[Any], object]) -> BeforeValidator:
    """Return a validator that keeps the words, after `read` has accepted them."""

    def check(words: Any) -> Any:
        if not (isinstance(words, str) and TEMPLATE in words):
            read(words)
        return words

    return BeforeValidator(check)


Textual = Annotated[str, BeforeValidator(_as_text)]
Parameter = Annotated[
    Any,
    BeforeValidator(_parameter),
    WithJsonSchema({"type": ["string", "number", "boolean", "null", "array"]}),
]
ColumnType = Annotated[
    Any,
    _checked(column_type),
    WithJsonSchema({"type": "string", "description": f"One of {', '.join(TYPES)}, numeric(12, 2), string(100)."}),
]
Pages = Annotated[Any, _checked(read_pages), WithJsonSchema(pages_schema())]
Prefix = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Method = Literal["GET", "POST", "PUT", "QUERY"]


class Words(BaseModel):
    """A group of words. Unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    short: ClassVar[str | None] = None  #: the word that a text alone stands for

    @model_validator(mode="before")
    @classmethod
    def _read_short_form(cls, words: Any) -> Any:
        return {cls.short: words} if cls.short and isinstance(words, str) else words

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler.resolve_ref_schema(handler(schema))
        return {"anyOf": [{"type": "string"}, found]} if cls.short else found


class RequestWords(Words):
    """A request: its path below the base URL, method, parameters, headers and JSON body."""

    short = "path"
    path: str = Field(description="The path below the base URL, such as /orders.")
    method: Method = Field("GET", description="The HTTP method.")
    params: dict[str, Parameter] = Field({}, description="Query parameters.")
    headers: dict[str, Textual] = Field({}, description="Headers of this request only.")
    body: Any = Field(None, description="A JSON body.")
    cost: int = Field(1, ge=1, description="Units of each limit that the request uses.")


class DetailWords(RequestWords):
    """The request for the details of one item. {id} and {column} are replaced, in path, parameters and body."""

    path: str = Field(description="The path below the base URL, such as /orders/{id}.")
    item: str = Field(".", description="The path of the item in the answer, such as data.order.")


class IdWords(Words):
    """The id of an item."""

    short = "path"
    path: str = Field(description="The path of the id in a list item.")
    type: Literal["text", "integer", "uuid"] = Field("text", description="The type of the column external_id.")


class ColumnWords(Words):
    """A column: the path of its value, and its type."""

    short = "path"
    path: str = Field(description="The path of the value, such as customer.email or lines.0.sku; . is the whole item.")
    type: ColumnType = Field("text", description="The column type.")
    index: bool = Field(False, description="True: the column has an index.")
    from_list: bool = Field(False, description="True: only the list has the value, the detail does not.")


class OptionWords(Words):
    """Options with the names of attributes of `ImportSource`; None leaves the attribute's own default."""

    limits: str | dict[str, str] | None = Field(
        None, description="Rate limits, all of which apply: 500/20 second; 2000/100 second. Or a set for each path."
    )
    api: str | None = Field(None, description="The name that the limits belong to; sources with the same share them.")
    per_page: int | None = Field(None, description="Items requested per list page.")
    max_pages: int | None = Field(None, description="List pages after which the list counts as endless.")
    max_empty_pages: int | None = Field(None, description="Pages without items in a row after which reading stops.")
    concurrency: int | None = Field(None, description="Detail requests in flight at the start.")
    ceiling: int | None = Field(None, description="The most detail requests in flight.")
    shards: int | None = Field(None, description="Runs that work on one import together.")
    overlap: bool | None = Field(None, description="False: the whole list is read before the first detail.")
    read_twice: bool | None = Field(None, description="True: repeat the list until two passes agree.")
    conditional: bool | None = Field(None, description="True: request details with the ETag of their last answer.")
    keep_payloads: bool | None = Field(None, description="True: store the start of an answer that failed an item.")
    timeout: float | None = Field(None, description="Seconds for a whole request.")
    max_body: int | None = Field(None, description="Bytes of an answer; longer ones are refused.")
    max_depth: int | None = Field(None, description="Nesting levels of a JSON answer.")
    lease: float | None = Field(None, description="Seconds without a heartbeat after which an import is stalled.")
    wait: float | None = Field(None, description="Seconds that an import of selected items waits for another one.")
    max_pause: float | None = Field(None, description="Seconds of the longest pause that the API may request.")
    max_outage: float | None = Field(None, description="Seconds without an answer after which the import fails.")
    prune_days: float | None = Field(None, description="Days after which item rows of ended imports are deleted.")
    tries: int | None = Field(None, description="Tries per item.")
    backoff: tuple[float, ...] | None = Field(None, description="Seconds between the tries of an item.")
    slots: Textual | None = Field(None, description="Hours or times at which an import is due: 0,3 or 09:30,12:00.")
    time_zone: str | None = Field(None, description="The time zone of the slots.")
    partitions: Literal["per_item"] | int | None = Field(
        None, description="Partitions of the details: per_item, or the number of items per bucket."
    )


class Declaration(OptionWords):
    """A source, declared."""

    name: str = Field(description="The name of the source, its assets, jobs and settings.")
    base_url: str = Field("", description="The address of the API; the setting <NAME>_BASE_URL overrides it.")
    list: RequestWords = Field(description="The request for the list, without page number or cursor.")
    items: str = Field(".", description="The path of the items in a list page; . is the whole page.")
    format: Literal["json", "ndjson"] = Field("json", description="The format of a list page.")
    pages: Pages = Field(description="The way in which the list names its next page.")
    id: IdWords = Field(IdWords(path="id", type="text"), description="The path of an item's id.")
    version: str | None = Field(None, description="The path of a value that changes with the item, as updated_at.")
    total: str | None = Field(None, description="The path of the number of items, in a list page.")
    detail: DetailWords | None = Field(None, description="The request for an item's details; none: the list has all.")
    columns: dict[str, ColumnWords] = Field(
        {"data": ColumnWords(path=".", type="json", index=False, from_list=False)},
        description="Columns of the table and the paths of their values; by default the item as JSON, in `data`.",
    )
    table: str | None = Field(None, description="The name of the table; by default the source's.")
    headers: dict[str, Textual] = Field({}, description="Headers of every request; credentials belong in auth.")
    params: dict[str, Parameter] = Field({}, description="Query parameters of every request.")
    owners: tuple[str, ...] = Field((), description="Owners of the assets: team:data or mail addresses.")
    group_name: str = Field("", description="The group of the assets; by default the source's name.")
    asset_key_prefix: Prefix = Field((), description="Parts before the keys of the assets: crm, or [crm, raw].")
    tags: dict[str, Textual] = Field({}, description="Tags of the assets.")
