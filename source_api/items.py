"""The items in their SQLite database: generate them from a seed, read one by id, read a page."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from source_api.drift import Order
from source_api.errors import BadOption

KINDS = ("Quiet", "Amber", "Nordic", "Folding", "Brushed", "Crème", "Little", "Hand-made", "Sturdy", "Île-de-Ré")
THINGS = (
    "lamp",
    "kettle",
    "bookshelf",
    "teapot",
    "blanket",
    "clock",
    "café table",
    "basket",
    "mirror",
    "stool",
    "vase",
)
MATERIALS = ("oak", "brass", "wool", "linen", "glass", "steel", "clay", "bamboo", "cork")
FIRST_CREATED = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
YEAR = 365 * 24 * 3600
BATCH = 20_000
BIGGEST_ID = 2**63 - 1  # the largest integer of SQLite

DETAIL = ("id", "name", "description", "price", "created_at", "updated_at")
SHORT = ("id", "name", "updated_at")

Row = tuple[int, str, str, str, str, str]


API_ITEMS = sa.Table(
    "api_items",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    # Price and times are stored as text, exactly as they are served.
    sa.Column("price", sa.String(20), nullable=False),
    sa.Column("created_at", sa.String(20), nullable=False),
    sa.Column("updated_at", sa.String(20), nullable=False),
)


@dataclass(frozen=True, kw_only=True)
class Extent:
    """The number of items and the range of their ids. `changes` counts commits of other processes."""

    changes: int
    total: int
    first_id: int
    last_id: int

    @property
    def gapless(self) -> bool:
        """True if every id from the first to the last exists."""
        return self.last_id - self.first_id + 1 == self.total


def seeded(seed: int) -> Iterator[Row]:
    """Yield the items from id 1, without end. An item does not depend on the number of items."""
    source = random.Random(seed)  # noqa: S311 - reproducible items, not a secret
    number = 0
    while True:
        number += 1
        # One draw per row: a million rows take seconds.
        draw = source.getrandbits(96)
        draw, kind = divmod(draw, len(KINDS))
        draw, thing = divmod(draw, len(THINGS))
        draw, material = divmod(draw, len(MATERIALS))
        draw, cents = divmod(draw, 99_900)
        draw, created = divmod(draw, YEAR)
        updated = created + draw % YEAR
        name = f"{KINDS[kind]} {THINGS[thing]} {number}"
        price = f"{1 + cents // 100}.{cents % 100:02d}"
        description = f"{name}, made of {MATERIALS[material]}."
        yield number, name, description, price, _time(FIRST_CREATED + created), _time(FIRST_CREATED + updated)


def _time(epoch: int) -> str:
    # strftime takes three times as long.
    return f"{datetime.fromtimestamp(epoch, UTC).isoformat()[:19]}Z"


class ItemStore:
    """The items in SQLite. Reads see changes of the file by other processes immediately."""

    def __init__(self, database: Path | None, *, count: int, seed: int, order: Order = Order.OLDEST) -> None:
        self._known: Extent | None = None
        self._seed = seed
        self._newest_first = order is Order.NEWEST
        self._engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(database) if database else None),
            poolclass=sa.StaticPool,
            connect_args={"check_same_thread": False},
        )
        try:
            API_ITEMS.create(self._engine, checkfirst=True)
            self._fill(count, seed)
            # SQLAlchemy only compiles the statements, once. The driver executes them: through SQLAlchemy a read costs
            # ten times as much, a third of a whole request.
            self._connection = self._engine.raw_connection()
            self._cursor = self._connection.cursor()
            self._prepare()
            self._extent()
        except sa.exc.DatabaseError as error:
            raise BadOption(
                "--database", expected="a file that SQLite can use", got=f"{database}: {error.orig}"
            ) from None

    def _fill(self, count: int, seed: int) -> None:
        with self._engine.begin() as connection:
            if connection.scalar(sa.select(sa.exists(sa.select(API_ITEMS.c.id)))):
                return
            statement = str(sa.insert(API_ITEMS).compile(self._engine))
            rows = islice(seeded(seed), count)
            while batch := list(islice(rows, BATCH)):
                connection.exec_driver_sql(statement, batch)

    def _prepare(self) -> None:
        columns = API_ITEMS.c
        detail = sa.select(*(columns[name] for name in DETAIL)).where(columns.id == sa.bindparam("id"))
        first: sa.BindParameter[int] = sa.bindparam("first")
        page = sa.select(*(columns[name] for name in SHORT))
        page = page.where(columns.id <= first if self._newest_first else columns.id >= first)
        page = (
            page.order_by(columns.id.desc() if self._newest_first else columns.id)
            .limit(sa.bindparam("limit"))
            .offset(sa.bindparam("skip"))
        )
        extent = sa.select(sa.func.count(), sa.func.min(columns.id), sa.func.max(columns.id))
        self._detail = str(detail.compile(self._engine))
        self._page = str(page.compile(self._engine))
        self._bounds = str(extent.compile(self._engine))

    def _rows(self, statement: str, *parameters: int) -> list[tuple[Any, ...]]:
        self._cursor.execute(statement, parameters)
        return list(self._cursor.fetchall())  # fetch all: an open cursor would keep the file locked

    def _extent(self) -> Extent:
        """Return the extent. Counting reads every row, so count only after another process changed the file."""
        [[changes]] = self._rows("PRAGMA data_version")
        if self._known is None or self._known.changes != changes:
            [[total, first, last]] = self._rows(self._bounds)
            self._known = Extent(changes=changes, total=total, first_id=first or 1, last_id=last or 0)
        return self._known

    @property
    def total(self) -> int:
        """The number of items."""
        return self._extent().total

    def item(self, item_id: int) -> dict[str, Any] | None:
        """Return all fields of an item; None if there is no such id."""
        if item_id > BIGGEST_ID:
            return None
        for row in self._rows(self._detail, item_id):
            return dict(zip(DETAIL, row, strict=True))
        return None

    def short_items(self, *, skip: int, limit: int) -> list[dict[str, Any]]:
        """Return a range of the list, in its order, with the fields that the list shows."""
        extent = self._extent()
        if skip >= extent.total:
            return []
        # Without gaps the first id is computed, so a late page costs no more than an early one.
        head, step = (extent.last_id, -1) if self._newest_first else (extent.first_id, 1)
        first, skip = (head + step * skip, 0) if extent.gapless else (head, skip)
        return [dict(zip(SHORT, row, strict=True)) for row in self._rows(self._page, first, limit, skip)]

    def insert(self, count: int) -> None:
        """Insert new items with the ids after the last one."""
        last = self._extent().last_id
        self._write(sa.insert(API_ITEMS), list(islice(seeded(self._seed), last, last + count)))

    def delete_first(self, count: int) -> None:
        """Delete the first items of the list."""
        gone = [(item["id"],) for item in self.short_items(skip=0, limit=count)]
        self._write(sa.delete(API_ITEMS).where(API_ITEMS.c.id == sa.bindparam("gone")), gone)

    def _write(self, statement: sa.Insert | sa.Delete, rows: Sequence[tuple[Any, ...]]) -> None:
        self._cursor.executemany(str(statement.compile(self._engine)), rows)
        self._connection.commit()
        self._known = None  # data_version counts only changes by other connections

    def close(self) -> None:
        """Close the database."""
        self._connection.close()
        self._engine.dispose()
