"""Rows that a table refuses, merges, drops or cannot give back: their items fail with a reason, no others suffer."""

import enum
import itertools
import random
from contextlib import closing
from datetime import UTC, datetime, time
from decimal import Decimal

import httpx
import pytest
from sqlalchemy import (
    CHAR,
    JSON,
    BigInteger,
    DateTime,
    Enum,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    Numeric,
    String,
    Text,
    Time,
    Uuid,
    select,
)
from sqlalchemy.orm import DeclarativeBase, mapped_column, relationship
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from import_pipeline import run_import
from import_pipeline.contracts import ImportableMixin, UtcDateTime
from import_pipeline.importer.installation import open_installation
from import_pipeline.sources.items import ItemsSource
from import_pipeline.testing import CannedTransport
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.user_rows import reading
from import_pipeline_tests.support.imports import counts, import_through, reasons, rows, served, settings, tracking

API = "https://api.test"


def text(**more):
    """A column for any text."""
    return mapped_column(Text, nullable=True, **more)


class Row:
    """What the rows of these tests have in common: a detail's fields are taken over as they are."""

    def detail_request(self):
        return httpx.Request("GET", "/detail", params={"id": str(self.external_id)})

    def populate(self, detail):
        for name, value in detail.items():
            setattr(self, name, value)


class World:
    """A table, a source that fills it, and the API's present state: external id -> what stub and detail give."""

    def __init__(self, home, database_url, columns, *, mixin=ImportableMixin, limit=None, **attributes):
        base = type("Base", (DeclarativeBase,), {"metadata": MetaData()})
        columns = {"id": mapped_column(Integer, primary_key=True)} | columns
        bases = (Row, base) if mixin is None else (Row, mixin, base)
        self.model = type("Thing", bases, {"__tablename__": "things", **columns})
        world = self

        class Things(ItemsSource):
            model = self.model
            retry = ItemsSource.retry

            def stub(self, item):
                return world.model(external_id=item["id"], **world.stubs.get(item["id"], {}))

            def items(self, list_response):
                return [dict(each) for each in list_response.json()["data"]]

            def version(self, item):
                return None

        self.source = type("Things", (Things,), attributes)()
        self.settings = settings(home, API, DATABASE_URL=database_url, ITEMS_CONCURRENCY="3")
        self.stubs, self.details, self.asked = {}, {}, []

    def answer(self, request):
        if request.url.path == "/api/items":
            data = [{"id": each} for each in self.details]
            return {"data": data, "current_page": 1, "last_page": 1, "total": len(data)}
        self.asked.append(request.url.params["id"])
        return {"id": request.url.params["id"]}

    def imported(self, **wishes):
        self.asked.clear()
        world, source = self, self.source
        source.__class__.detail = lambda self, response: world.details[response.json()["id"]]
        return import_through(CannedTransport(self.answer), source, self.settings, **wishes)

    def rows(self):
        return rows(self.settings, self.model)

    def sql(self, *statements):
        with open_installation(self.settings, [self.source]) as installation:
            installation.source("items")
        with closing(Database(self.settings.database_url)) as database, database.write() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)


@pytest.fixture
def world(home, database_url):
    return lambda columns=None, **more: World(home, database_url, columns or {}, **more)


class State(enum.Enum):
    OPEN = "open"


REFUSED = {
    "a value that the enumeration does not know": (Enum("open", "closed", native_enum=False), "open", "gone"),
    "a name that the enumeration does not know": (Enum(State, native_enum=False), State.OPEN, "GONE"),
    "year 10000 in UTC": (
        DateTime(timezone=True),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime.fromisoformat("9999-12-31T23:59:59-12:00"),
    ),
    "year 0 in UTC": (
        DateTime(timezone=True),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime.fromisoformat("0001-01-01T00:00:00+12:00"),
    ),
    "the same of a type that keeps UTC": (
        UtcDateTime,
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime.fromisoformat("9999-12-31T23:59:59-12:00"),
    ),
    "a time of day with an offset": (Time, time(12), time.fromisoformat("12:00:00+02:00")),
    "NaN": (Float, 1.5, float("nan")),
    "Infinity": (Float, 1.5, float("inf")),
    "a decimal NaN": (Numeric(12, 2), Decimal("1.5"), Decimal("NaN")),
    "a number in letters": (Numeric(12, 2), Decimal("1.5"), "Infinity"),
    "Infinity within JSON": (JSON, {"a": [1]}, {"a": [float("inf")]}),
    "half of a whole number": (Integer, 2, 1.5),
    "a text in a number": (Integer, 2, "many"),
    "a number beyond its column": (BigInteger, 2, 2**63),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_value_that_could_not_be_read_back_as_it_is_fails_its_item(world, case):
    type_, good, bad = REFUSED[case]
    things = world({"value": mapped_column(type_, nullable=True)})
    things.details = {"1": {"value": good}, "2": {"value": bad}, "3": {"value": good}}
    for _ in range(2):
        assert counts(things.imported()) == ("completed", 3, 2, 0, 1)
        assert set(reasons(things.settings)) == {"2"}
    assert "value" in reasons(things.settings)["2"] or "things" in reasons(things.settings)["2"]
    assert things.rows()["2"]["value"] is None
    assert things.rows()["1"]["value"] is not None


def test_a_row_that_cannot_be_read_is_fetched_anew_and_keeps_what_can(world):
    things = world(
        {
            "state": mapped_column(Enum("open", "closed", native_enum=False), nullable=True),
            "note": text(),
        }
    )
    things.details = {each: {"state": "open"} for each in "123"}
    things.imported()
    things.sql("UPDATE things SET state = 'lost', note = 'mine' WHERE external_id = '2'")
    assert counts(things.imported()) == ("completed", 3, 3, 0, 0)
    assert (things.rows()["2"]["state"], things.rows()["2"]["note"]) == ("open", "mine")


def test_a_time_with_an_offset_is_kept_as_utc(world):
    things = world(
        {"at": mapped_column(DateTime(timezone=True), nullable=True), "kept": mapped_column(UtcDateTime, nullable=True)}
    )
    moment = datetime.fromisoformat("2026-07-01T12:00:00+02:00")
    things.details = {"1": {"at": moment, "kept": moment}}
    assert counts(things.imported()) == ("completed", 1, 1, 0, 0)
    row = things.rows()["1"]
    assert row["at"].replace(tzinfo=UTC) == row["kept"] == moment


IDS = {
    "a UUID": (Uuid(as_uuid=False), "6f1d4b3e-0000-4000-8000-00000000000a", "nope"),
    "a UUID object": (Uuid, "6f1d4b3e-0000-4000-8000-00000000000a", "{6f1d4b3e-0000-4000-8000-00000000000a}"),
    "a number": (BigInteger, "7", str(2**63)),
    "a number in another spelling": (BigInteger, "7", "007"),
    "a short text": (String(5), "ab-12", "ab-123"),
}


@pytest.mark.parametrize("case", IDS)
def test_an_id_that_the_column_cannot_hold_fails_its_item_wherever_it_comes_from(world, case):
    type_, good, bad = IDS[case]
    things = world({"external_id": mapped_column(type_, unique=True), "name": text()}, mixin=None)
    things.details = {good: {"name": "a"}, bad: {"name": "b"}}
    for _ in range(2):
        assert counts(things.imported()) == ("completed", 2, 1, 0, 1)
        assert reasons(things.settings)[bad].startswith(f"the column external_id cannot hold {bad!r}: ")
    assert [row["name"] for row in things.rows().values()] == ["a"]
    assert counts(things.imported(only=[good, bad])) == ("completed", 2, 1, 0, 1)
    del things.details[bad]
    things.details["6f1d4b3e-0000-4000-8000-00000000000b" if isinstance(type_, Uuid) or type_ is Uuid else "8"] = {
        "name": "c"
    }
    del things.details[good]
    assert counts(things.imported(fresh=True)) == ("completed", 1, 1, 0, 0)
    assert [row["name"] for row in things.rows().values()] == ["c"]


def test_a_uuid_is_one_id_in_any_case(world):
    things = world({"external_id": mapped_column(Uuid(as_uuid=False), unique=True), "name": text()}, mixin=None)
    upper = "6F1D4B3E-0000-4000-8000-00000000000A"
    things.details = {upper: {"name": "a"}, upper.lower(): {"name": "a"}}
    assert counts(things.imported(only=[upper, upper.lower()])) == ("completed", 1, 1, 0, 0)
    del things.details[upper]
    assert counts(things.imported()) == ("completed", 1, 1, 0, 0)
    assert things.asked == [upper.lower()]


def test_two_ids_that_the_column_takes_for_one_do_not_share_a_row(home, tmp_path):
    url = f"sqlite:///{tmp_path / 'tracking.db'}"
    things = World(
        home,
        url,
        {
            "external_id": mapped_column(String(255, collation="NOCASE"), unique=True),
            "name": text(),
        },
        mixin=None,
    )
    things.details = {"abc": {"name": "small"}, "ABC": {"name": "large"}, "d": {"name": "d"}}
    for _ in range(2):
        assert counts(things.imported()) == ("completed", 3, 2, 0, 1)
        assert "treats 'ABC' and 'abc' as equal" in reasons(things.settings)["ABC"]
        assert {key: row["name"] for key, row in things.rows().items()} == {"abc": "small", "d": "d"}


def test_an_id_that_a_column_pads_is_refused(home, postgres_url):
    things = World(
        home,
        postgres_url,
        {"external_id": mapped_column(CHAR(5), unique=True), "name": text()},
        mixin=None,
    )
    things.details = {"12345": {"name": "a"}, "123": {"name": "b"}}
    assert counts(things.imported()) == ("completed", 2, 1, 0, 1)
    assert "treats '123' and '123  ' as equal" in reasons(things.settings)["123"]


def give(things, place, wanted):
    """Let the list or the details give those slugs."""
    things.details = {each: {} if place == "list" else {"slug": slug} for each, slug in wanted.items()}
    things.stubs = {each: {"slug": slug} for each, slug in wanted.items()}
    if place == "details":
        things.stubs = {}


CHANGES = {
    "handed on": ("abcd", "bxcd"),
    "along a chain": ("abcdefgh", "bcdefghx"),
    "swapped": ("abcd", "bacd"),
    "in a circle": ("abcdefgh", "bcdefgha"),
}


@pytest.mark.parametrize("place", ["list", "details"])
@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize("change", CHANGES)
def test_unique_values_may_move_between_rows(world, change, nullable, place):
    numbers = itertools.count()
    default = {} if nullable else {"default": lambda: f"none yet {next(numbers)}"}
    things = world({"slug": mapped_column(String(50), unique=True, nullable=nullable, **default)})
    for letters in CHANGES[change]:
        wanted = dict(zip("12345678", letters, strict=False))
        give(things, place, wanted)
        done = counts(things.imported())
        assert done == ("completed", len(letters), len(letters), 0, 0), reasons(things.settings)
        assert {key: row["slug"] for key, row in things.rows().items()} == wanted


def test_a_unique_value_that_two_items_want_is_refused_to_one_with_the_reason(world):
    things = world({"slug": mapped_column(String(50), unique=True, nullable=True)})
    give(things, "details", {"1": "a", "2": "a", "3": "c"})
    assert counts(things.imported()) == ("completed", 3, 2, 0, 1)
    [reason] = reasons(things.settings).values()
    assert reason.startswith("the table things refuses the row: ")


def test_a_row_that_needs_another_one_of_the_import_is_stored_after_it(world):
    things = world({"parent": mapped_column(ForeignKey("things.external_id"), nullable=True)})
    things.stubs = {"1": {"parent": "3"}, "2": {"parent": "none"}, "3": {}}
    things.details = {"1": {}, "2": {}, "3": {}}
    assert counts(things.imported()) == ("completed", 3, 2, 0, 1)
    assert set(reasons(things.settings)) == {"2"}
    assert things.rows()["1"]["parent"] == "3"


DEFERRED = {"deferrable": True, "initially": "DEFERRED"}


@pytest.mark.parametrize("place", ["list", "details"])
def test_a_constraint_that_is_checked_at_commit_refuses_its_row_only(world, place):
    things = world({"parent": mapped_column(ForeignKey("things.external_id", **DEFERRED), nullable=True)})
    parents = {"1": {"parent": "3"}, "2": {"parent": "none"}, "3": {}}
    things.stubs = parents if place == "list" else {}
    things.details = {each: {} if place == "list" else parent for each, parent in parents.items()}
    assert counts(things.imported()) == ("completed", 3, 2, 0, 1)
    assert set(reasons(things.settings)) == {"2"}


TRIGGERS = {
    "drops what is inserted": ("BEFORE INSERT", "IF new.external_id = '2' THEN RETURN NULL; END IF; RETURN new;"),
    "drops what is changed": ("BEFORE UPDATE", "IF new.external_id = '2' THEN RETURN NULL; END IF; RETURN new;"),
    "deletes it afterwards": ("AFTER INSERT OR UPDATE", "DELETE FROM things WHERE external_id = '2'; RETURN NULL;"),
    "gives it another id": (
        "BEFORE INSERT",
        "IF new.external_id = '2' THEN new.external_id := 'other'; END IF; RETURN new;",
    ),
    "raises a code of its own": (
        "BEFORE INSERT OR UPDATE",
        "IF new.external_id = '2' THEN RAISE EXCEPTION 'not this one' USING ERRCODE = 'ZZ999'; END IF; RETURN new;",
    ),
}


@pytest.mark.parametrize("case", TRIGGERS)
def test_what_a_trigger_does_with_a_row_is_not_called_imported(home, postgres_url, case):
    things = World(home, postgres_url, {"name": text()})
    moment, body = TRIGGERS[case]
    things.sql(
        f"CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$",
        f"CREATE TRIGGER acts {moment} ON things FOR EACH ROW EXECUTE FUNCTION act()",
    )
    things.details = {each: {"name": "a"} for each in "123"}
    assert counts(things.imported()) == ("completed", 3, 2, 0, 1)
    assert set(reasons(things.settings)) == {"2"}


def test_a_trigger_that_ignores_a_row_on_sqlite_fails_its_item(home, tmp_path):
    things = World(home, f"sqlite:///{tmp_path / 'tracking.db'}", {"name": text()})
    things.sql("CREATE TRIGGER acts BEFORE INSERT ON things WHEN new.external_id = '2' BEGIN SELECT RAISE(IGNORE); END")
    things.details = {each: {"name": "a"} for each in "123"}
    assert counts(things.imported()) == ("completed", 3, 2, 0, 1)
    assert "trigger" in reasons(things.settings)["2"]


def test_a_row_too_large_for_an_index_fails_alone(home, postgres_url):
    things = World(home, postgres_url, {"name": text(index=True)})
    chance = random.Random(1)
    long = "".join(chance.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(20_000))
    things.details = {"1": {"name": "a"}, "2": {"name": long}, "3": {"name": "a"}}
    assert counts(things.imported()) == ("completed", 3, 2, 0, 1)
    assert "index row" in reasons(things.settings)["2"]


@pytest.mark.parametrize("changed", ["1", "9", None])
def test_details_that_change_the_id_fail_their_item(world, changed):
    things = world({"name": text()})
    things.details = {"1": {"name": "a"}, "2": {"external_id": changed, "name": "b"}}
    assert counts(things.imported()) == ("completed", 2, 1, 0, 1)
    assert reasons(things.settings)["2"].startswith("Thing.populate changes external_id from '2' to ")
    assert {key: row["name"] for key, row in things.rows().items()} == {"1": "a", "2": None}


def test_a_list_that_loses_a_field_wipes_nothing(world):
    things = world({"name": text(), "tags": mapped_column(JSON, nullable=True)})
    things.details = {"1": {}}
    things.stubs = {"1": {"name": "a", "tags": ["x"]}}
    things.imported()
    things.stubs = {"1": {"name": None, "tags": None}}
    things.imported()
    assert (things.rows()["1"]["name"], things.rows()["1"]["tags"]) == ("a", ["x"])
    things.details = {"1": {"name": None, "tags": ["y"]}}
    things.imported()
    assert (things.rows()["1"]["name"], things.rows()["1"]["tags"]) == (None, ["y"]), "details decide"


def test_a_primary_key_that_the_source_sets_is_stored(world):
    key = {"id": mapped_column(Integer, primary_key=True), "tenant": mapped_column(String(9), primary_key=True)}
    things = world(key | {"name": text()})
    things.stubs = {each: {"id": 100 + number, "tenant": "acme"} for number, each in enumerate("12")}
    things.details = {each: {"name": each} for each in "12"}
    for _ in range(2):
        assert counts(things.imported()) == ("completed", 2, 2, 0, 0), reasons(things.settings)
    assert [(row["id"], row["tenant"]) for row in things.rows().values()] == [(100, "acme"), (101, "acme")]
    things.stubs["2"]["tenant"] = "other"
    assert counts(things.imported()) == ("completed", 2, 1, 0, 1)
    assert "a stored key is never changed" in reasons(things.settings)["2"]


def test_related_rows_are_refused_by_name_and_not_dropped(home, database_url):
    class Base(DeclarativeBase):
        metadata = MetaData()

    class Line(Base):
        __tablename__ = "lines"
        id = mapped_column(Integer, primary_key=True)
        order_id = mapped_column(ForeignKey("things.id"))

    things = World(home, database_url, {"name": text()})
    things.model = type(
        "Thing",
        (Row, ImportableMixin, Base),
        {
            "__tablename__": "things",
            "id": mapped_column(Integer, primary_key=True),
            "name": text(),
            "lines": relationship(Line),
        },
    )
    type(things.source).model = things.model
    things.stubs = {"2": {"lines": [Line()]}, "3": {"lines": []}}
    things.details = {each: {"name": "a"} for each in "123"}
    assert counts(things.imported()) == ("completed", 3, 2, 0, 1)
    assert reasons(things.settings)["2"].startswith("Thing.lines is a relationship, and an import writes columns only")


def test_rows_of_ids_that_no_row_can_have_are_just_not_there(home, postgres_url):
    """The table may have another type than the class says: a lookup that Postgres refuses ends no transaction."""
    things = World(home, postgres_url, {"name": text()})
    things.sql("ALTER TABLE things ALTER COLUMN external_id TYPE bigint USING external_id::bigint")
    things.sql("INSERT INTO things (external_id) VALUES (7)")
    with closing(Database(things.settings.database_url)) as database, database.write() as connection:
        assert list(reading.ids(connection, things.model, ["7", "nope"])) == ["7"]
        assert connection.scalar(select(1)) == 1


def test_an_id_with_a_line_break_in_a_header_fails_its_item_and_reaches_no_server(home):
    """Over a real connection: what could be sent as a header of its own is not sent at all."""
    asked = []

    async def page(request):
        data = [{"id": "1"}, {"id": "2\r\nX-Admin: yes"}, {"id": "3"}]
        return JSONResponse({"data": data, "current_page": 1, "last_page": 1})

    async def detail(request):
        asked.append((request.headers["x-id"], "x-admin" in request.headers))
        return JSONResponse({"name": "a", "price": "1.00"})

    class ByHeader(ItemsSource):
        def stub(self, item):
            return Chosen(external_id=item["id"])

        def version(self, item):
            return None

    base = type("Base", (DeclarativeBase,), {"metadata": MetaData()})

    class Chosen(Row, ImportableMixin, base):
        __tablename__ = "chosen"
        id = mapped_column(Integer, primary_key=True)
        name = text()

        def detail_request(self):
            return httpx.Request("GET", "/detail", headers={"X-Id": self.external_id})

    ByHeader.model = Chosen
    app = Starlette(routes=[Route("/api/items", page), Route("/detail", detail)])
    with served(app) as url:
        configured = settings(home, url)
        summary = run_import("items", settings=configured, sources=[ByHeader()])
    assert counts(summary) == ("completed", 3, 2, 0, 1)
    assert list(reasons(configured)) == ["2\r\nX-Admin: yes"]
    assert sorted(asked) == [("1", False), ("3", False)]


def events(things, action):
    with tracking(things.settings) as connection:
        found = connection.exec_driver_sql(f"SELECT message FROM import_events WHERE action = '{action}' ORDER BY id")
        return [row[0] for row in found]


@pytest.mark.parametrize("case", ["refused", "incomplete", "limited", "empty", "nameless"])
def test_a_fresh_import_that_did_not_see_the_whole_list_deletes_nothing(world, case):
    things = world({"name": text()})
    things.details = {each: {"name": "a"} for each in "123"}
    things.imported()
    whole = things.answer

    def answer(request):
        if request.url.path != "/api/items":
            return whole(request)
        if case == "refused":
            return httpx.Response(401)
        data = [] if case == "empty" else [{"id": "1"}]
        data += [{"id": ""}] if case == "nameless" else []
        return {"data": data, "current_page": 1, "last_page": 1, "total": 9 if case == "incomplete" else len(data)}

    things.answer = answer
    things.imported(fresh=True, **({"limit": 1} if case == "limited" else {}))
    assert set(things.rows()) == set("123")
    assert {row["name"] for row in things.rows().values()} == {"a"}


@pytest.mark.parametrize("constraint", ["", "DEFERRABLE INITIALLY DEFERRED"])
def test_a_row_that_others_refer_to_outlives_a_fresh_import_and_that_is_said(world, constraint):
    things = world({"name": text()})
    things.details = {each: {"name": "a"} for each in "123"}
    things.imported()
    things.sql(
        f"CREATE TABLE notes (thing VARCHAR(255) REFERENCES things (external_id) {constraint})",
        "INSERT INTO notes VALUES ('2')",
    )
    things.details = {"1": {"name": "b"}}
    assert counts(things.imported(fresh=True)) == ("completed", 1, 1, 0, 0)
    assert "2" in things.rows()
    [sentence] = events(things, "rows_forgotten")
    assert "kept: the table things refuses" in sentence or "No more rows are deleted: the table things" in sentence
