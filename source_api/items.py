"""The items and their SQLite database: rows from a seed, one by its id, a page of them."""

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
BIGGEST_ID = 2**63 - 1  # SQLite's integers end there

DETAIL = ("id", "name", "description", "price", "created_at", "updated_at")
SHORT = ("id", "name", "updated_at")

Row = tuple[int, str, str, str, str, str]


API_ITEMS = sa.Table(
    "api_items",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    # Price and times are texts: they are served as they lie there.
    sa.Column("price", sa.String(20), nullable=False),
    sa.Column("created_at", sa.String(20), nullable=False),
    sa.Column("updated_at", sa.String(20), nullable=False),
)


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How many items there are and between which ids; `changes` tells of commits by other processes."""

    changes: int
    total: int
    first_id: int
    last_id: int

    @property
    def gapless(self) -> bool:
        """True when every id from the first to the last is there."""
        return self.last_id - self.first_id + 1 == self.total


def seeded(seed: int) -> Iterator[Row]:
    """The items from id 1 on, without end. An item does not depend on how many there are."""
    source = random.Random(seed)  # noqa: S311 - the same items every time, no secret
    number = 0
    while True:
        number += 1
        # One draw per row keeps a million rows within seconds.
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
    """The items in SQLite. Reads see at once what another process changes in the file."""

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
            # SQLAlchemy compiles each statement once, here; the driver alone runs it. Through the
            # library a read costs ten times as much, a third of a whole request.
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
        return list(self._cursor.fetchall())  # to the end: an open cursor would hold the file's lock

    def _extent(self) -> Extent:
        """Counts again only when somebody else has changed the file: counting reads every row."""
        [[changes]] = self._rows("PRAGMA data_version")
        if self._known is None or self._known.changes != changes:
            [[total, first, last]] = self._rows(self._bounds)
            self._known = Extent(changes=changes, total=total, first_id=first or 1, last_id=last or 0)
        return self._known

    @property
    def total(self) -> int:
        """How many items there are."""
        return self._extent().total

    def item(self, item_id: int) -> dict[str, Any] | None:
        """All there is to know about an item; None when there is none with this id."""
        if item_id > BIGGEST_ID:
            return None
        for row in self._rows(self._detail, item_id):
            return dict(zip(DETAIL, row, strict=True))
        return None

    def short_items(self, *, skip: int, limit: int) -> list[dict[str, Any]]:
        """A stretch of the list, in its order, in short form."""
        extent = self._extent()
        if skip >= extent.total:
            return []
        # Without gaps the first id is known, and a late page costs no more than an early one.
        head, step = (extent.last_id, -1) if self._newest_first else (extent.first_id, 1)
        first, skip = (head + step * skip, 0) if extent.gapless else (head, skip)
        return [dict(zip(SHORT, row, strict=True)) for row in self._rows(self._page, first, limit, skip)]

    def insert(self, count: int) -> None:
        """New items, with the ids after the last one."""
        last = self._extent().last_id
        self._write(sa.insert(API_ITEMS), list(islice(seeded(self._seed), last, last + count)))

    def delete_first(self, count: int) -> None:
        """The list's first items are gone."""
        gone = [(item["id"],) for item in self.short_items(skip=0, limit=count)]
        self._write(sa.delete(API_ITEMS).where(API_ITEMS.c.id == sa.bindparam("gone")), gone)

    def _write(self, statement: sa.Insert | sa.Delete, rows: Sequence[tuple[Any, ...]]) -> None:
        self._cursor.executemany(str(statement.compile(self._engine)), rows)
        self._connection.commit()
        self._known = None  # our own changes do not show in data_version

    def close(self) -> None:
        """Lets go of the database."""
        self._connection.close()
        self._engine.dispose()
