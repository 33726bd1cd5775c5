"""The eight shapes as test cases: each with its example source, and the rows that an import must leave."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from import_pipeline_tests.support.imports import served
from source_api.shapes import SHAPES, TOKEN, Shape, ShapeOptions
from source_api.shapes.oauth import CLIENT_ID, CLIENT_SECRET, FIRST_REFRESH_TOKEN
from source_api.shapes.records import Record

Row = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class ShapeCase:
    """A shape, and a source of the examples for it."""

    module: str  #: of import_pipeline/examples/shapes
    shape: str
    source: str  #: its name
    #: External id and columns of a record's row; of its rows, if the source reads lists of children.
    row: Callable[[Record], Row | list[Row]]
    limits_of_source: str = ""  #: if they are others
    before: str | None = None  #: a source to import before each time
    columns: tuple[str, ...]  #: those columns
    limits: str  #: of the shape, and of the source
    per_page: int = 20
    #: The most list requests of a second import without changes; None: the shape offers no bookmark.
    unchanged_lists: int | None = None
    deletes_arrive: bool = False  #: True: an incremental import brings deletions
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.source

    @property
    def listed(self) -> str:
        """The value of IMPORT_PIPELINE_SOURCES."""
        return f"import_pipeline.examples.shapes.{self.module}:SOURCES"

    @property
    def sources(self) -> list[Any]:
        """The sources of the module."""
        return list(import_module(f"import_pipeline.examples.shapes.{self.module}").SOURCES)

    @contextmanager
    def served(self, **options: Any) -> Iterator[tuple[Shape, dict[str, str]]]:
        """Serve the shape; yield it, and the settings that point its sources to it."""
        shape = SHAPES[self.shape](
            ShapeOptions(**{"items": 50, "page": self.per_page, "limits": self.limits} | dict(self.options) | options)
        )
        with served(shape.app) as url:
            environment = {"IMPORT_PIPELINE_SOURCES": self.listed}
            for source in self.sources:
                values = {
                    "BASE_URL": url,
                    "TOKEN": TOKEN,
                    "LIMITS": self.limits_of_source or shape.options.limits,
                    "PER_PAGE": str(self.per_page),
                    "CLIENT_ID": CLIENT_ID,
                    "CLIENT_SECRET": CLIENT_SECRET,
                    "REFRESH_TOKEN": FIRST_REFRESH_TOKEN,
                }
                environment |= {f"{source.name.upper()}_{name}": value for name, value in values.items()}
            yield shape, environment

    def expected(self, shape: Shape) -> dict[str, Row]:
        """Return the rows of the live records by their external ids."""
        return {key: row for each in shape.records.live() for key, row in self.rows_of(each).items()}

    def rows_of(self, record: Record) -> dict[str, Row]:
        """Return the rows of a record by their external ids."""
        found = self.row(record)
        return {row[0]: row for row in (found if isinstance(found, list) else [found])}


def comments(record: Record) -> list[Row]:
    """Return the rows of a task's comments; the shape has at most three at first."""
    numbers = range(1, record.number % 4 + record.revision)
    ids = [f"{record.number}-{number}" for number in numbers]
    return [(each, f"KEY-{record.number}", f"comment {each}") for each in ids]


CASES = (
    ShapeCase(
        module="link_header",
        shape="link_header",
        source="issues",
        columns=("title", "author"),
        row=lambda each: (str(each.number), each.name, each.email),
        limits="80/1 second",
        unchanged_lists=1,
    ),
    ShapeCase(
        module="graphql",
        shape="graphql",
        source="orders",
        columns=("name", "total"),
        row=lambda each: (f"gid://shop/Order/{each.number}", each.name, each.amount),
        limits="60/1 second",
        unchanged_lists=1,
    ),
    ShapeCase(
        module="last_id",
        shape="last_id",
        source="customers",
        columns=("name", "balance"),
        row=lambda each: (f"cus_{each.number}", each.name, each.amount),
        limits="4/1 second",
        unchanged_lists=1,
        deletes_arrive=True,
    ),
    ShapeCase(
        module="search",
        shape="search",
        source="contacts",
        columns=("firstname",),
        row=lambda each: (str(each.number), each.name),
        limits="20/1 second",
        limits_of_source="20/1 second; /contacts/search: 20/1 second",
        unchanged_lists=1,
    ),
    ShapeCase(
        module="export",
        shape="export",
        source="tickets",
        columns=("subject", "requester"),
        row=lambda each: (str(each.number), each.name, each.email),
        limits="4/1 second",
        unchanged_lists=1,
        deletes_arrive=True,
    ),
    ShapeCase(
        module="oauth",
        shape="oauth",
        source="accounts",
        columns=("name", "amount"),
        row=lambda each: (f"001{each.number:012}", each.name, each.amount),
        limits="2/1 second",
        options={"token_seconds": 1},
        unchanged_lists=1,
        deletes_arrive=True,
    ),
    ShapeCase(
        module="children",
        shape="children",
        source="tasks",
        columns=("summary",),
        row=lambda each: (f"KEY-{each.number}", each.name),
        limits="40/1 second",
        unchanged_lists=1,
    ),
    ShapeCase(
        module="children",
        shape="children",
        source="comments",
        before="tasks",
        columns=("task", "body"),
        row=comments,
        limits="60/1 second",
        unchanged_lists=1,
    ),
    ShapeCase(
        module="plain",
        shape="plain",
        source="stories",
        columns=("title",),
        row=lambda each: (str(each.number), f"{each.name} é"),
        limits="80/1 second",
    ),
    ShapeCase(
        module="lines",
        shape="plain",
        source="books",
        columns=("title", "price"),
        row=lambda each: (str(each.number), each.name, each.amount),
        limits="4/1 second",
    ),
)
