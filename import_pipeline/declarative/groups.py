"""Groups of words: requests, ids, columns, batches, incremental imports, answers."""

from datetime import timedelta
from typing import Any, Literal

from pydantic import Field

from import_pipeline.declarative.word_types import ColumnType, Lookback, Method, Parameter, Span, Textual, Words
from import_pipeline.rules.responses.waits import LONGEST


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


class BatchWords(RequestWords):
    """One request for the details of many items.

    {ids} is replaced by their ids: a list in the body, joined by commas in path and parameters, repeated in a parameter
    whose name ends with []. A mapping {each: ...} in the body becomes a list with one member per
    item, in which {id} and {column} are replaced.
    """

    size: int = Field(ge=1, description="Items per request.")
    items: str = Field(".", description="The path of the list of details in the answer.")
    id: str = Field("id", description="The path of the id in a detail.")
    item: str = Field(".", description="The path of the item in a detail, such as properties.")


class IncrementalWords(Words):
    """Only what changed since the last import. {since} is replaced in path, parameters and body of the list."""

    position: str = Field(description="The path of a value that grows with each change, such as updated_at.")
    param: str | None = Field(None, description="The query parameter that takes the position, as updated_since.")
    list: RequestWords | None = Field(None, description="The list of changes, with {since}, if it is another one.")
    start: Textual | None = Field(None, description="The position from which the first import asks for changes.")
    lookback: Lookback = Field(timedelta(0), description="What is read again: 5 minutes, or a number of positions.")
    full_every: Span | None = Field(None, description="The time after which an import is full again: 7 days.")
    order: Literal["oldest_first", "newest_first"] | None = Field(None, description="The order of the changes.")
    deleted: str | None = Field(None, description="The path of a value that is true for a deleted item.")


class WindowWords(Words):
    """Windows of time. {slice.start} and {slice.end} are replaced in the list, such as 2024-01-01T00:00:00Z."""

    start: Textual = Field(description="The start of the first window, such as 2024-01-01.")
    every: Literal["day", "week", "month", "year"] = Field(description="The length of a window.")


class AnswerWords(Words):
    """A row of the table of answers. All conditions of a row must hold; the first row that fits counts."""

    status: int | tuple[int, ...] | None = Field(None, description="The status, or several.")
    path: str | None = Field(None, description="The path of a value in a JSON body.")
    equals: Any = Field(None, description="The value at that path; left out: any value but null and false.")
    contains: str | None = Field(None, description="A text in the body.")
    action: Literal["accept", "not_modified", "retry", "rate_limited", "skip", "gone", "fail", "stop"] = Field(
        description="The meaning of the answer."
    )
    wait: float | None = Field(
        None, ge=0, le=LONGEST.total_seconds(), description="Seconds, of retry and rate_limited; at most 31 days."
    )
    reason: str = Field("", description="The reason that is shown.")
