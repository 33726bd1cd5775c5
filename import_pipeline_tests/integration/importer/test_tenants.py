"""Tenants of one class in one table: an id that two of them have is two rows, in everything that an import does."""

import enum

import httpx
import pytest
from sqlalchemy import Enum, ForeignKey, String, UniqueConstraint, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from import_pipeline import HasImportStatus, ImportableMixin, TenantMixin
from import_pipeline.errors import SchemaError
from import_pipeline.importer.source_loader import configure, shared_tables
from import_pipeline.sources.items import ItemsSource
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.user_rows.table_changes import changes_of
from import_pipeline.tracking.user_rows.user_tables import ensure_table
from import_pipeline_tests.support.imports import counts, import_through, reasons, settings, tracking


class Base(DeclarativeBase):
    """The user's tables."""


class State(enum.Enum):
    OPEN = "open"


class Thing(TenantMixin, HasImportStatus, Base):
    """A row of any tenant, with a unique name within its tenant and rows of its own."""

    __tablename__ = "things_of_tenants"
    __table_args__ = (UniqueConstraint("tenant", "external_id"), UniqueConstraint("tenant", "name"))
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(40))
    state: Mapped[State | None] = mapped_column(Enum(State, native_enum=False))
    lines: Mapped[list["Line"]] = relationship(cascade="all, delete-orphan")

    def detail_request(self):
        return httpx.Request("GET", f"/{self.external_id}")

    def populate(self, detail):
        self.name = detail["name"]
        self.tenant = "another"  # a mistake that must not matter
        self.lines = [Line(text=each) for each in detail.get("lines", [])]


class Line(Base):
    """A child row."""

    __tablename__ = "lines_of_tenants"
    id: Mapped[int] = mapped_column(primary_key=True)
    thing_id: Mapped[int] = mapped_column(ForeignKey("things_of_tenants.id"))
    text: Mapped[str] = mapped_column(String(40))


class Things(ItemsSource):
    """A list of ids in one page, from an API that the test gives."""

    name = "things"
    model = Thing
    base_url = "https://api.test"

    def items(self, list_response):
        return [{"id": each} for each in list_response.json()]

    def has_next_page(self, list_response):
        return False

    def total(self, list_response):
        return None

    def stub(self, item):
        return Thing(external_id=item["id"])

    def version(self, item):
        return None


class World:
    """Tenants, their APIs, and the table."""

    def __init__(self, home, database_url):
        self.settings = settings(home, "https://api.test", DATABASE_URL=database_url, THINGS_LIMITS="none")
        self.details = {"acme": {}, "beta": {}}

    def imported(self, tenant, **options):
        """Import a tenant through its API, which lists its details and answers with each."""
        source = Things(name=tenant) if isinstance(tenant, str) else tenant
        tenant = source.name

        def answer(request):
            key = request.url.path.rpartition("/")[2]
            if key == "items":
                return httpx.Response(200, json=list(self.details[tenant]))
            return httpx.Response(200, json=self.details[tenant][key])

        return counts(import_through(httpx.MockTransport(answer), source, self.settings, **options))

    def rows(self):
        """Return (tenant, external id) -> (name, lines)."""
        with tracking(self.settings) as connection, Session(connection) as session:
            found = session.scalars(select(Thing))
            return {(row.tenant, row.external_id): (row.name, [each.text for each in row.lines]) for row in found}


@pytest.fixture
def world(home, database_url):
    return World(home, database_url)


def test_the_same_id_of_two_tenants_is_two_rows(world):
    world.details = {
        "acme": {"1": {"name": "a", "lines": ["x"]}, "2": {"name": "b"}},
        "beta": {"1": {"name": "c", "lines": ["y", "z"]}},
    }
    for tenant, count in (("acme", 2), ("beta", 1), ("acme", 2), ("beta", 1)):
        assert world.imported(tenant) == ("completed", count, count, 0, 0)
        assert world.rows()["acme", "1"] == ("a", ["x"])
    assert world.rows() == {("acme", "1"): ("a", ["x"]), ("acme", "2"): ("b", []), ("beta", "1"): ("c", ["y", "z"])}


def test_a_fresh_import_deletes_rows_of_its_own_tenant_only(world):
    for tenant in ("acme", "beta"):
        world.details[tenant] = {"1": {"name": "a", "lines": ["x"]}, "2": {"name": "b", "lines": ["y"]}}
        world.imported(tenant)
    del world.details["acme"]["2"]
    assert world.imported("acme", fresh=True) == ("completed", 1, 1, 0, 0)
    assert sorted(world.rows()) == [("acme", "1"), ("beta", "1"), ("beta", "2")]
    assert world.rows()["beta", "2"] == ("b", ["y"])


def test_chosen_items_and_swapped_names_stay_within_their_tenant(world):
    for tenant in ("acme", "beta"):
        world.details[tenant] = {"1": {"name": "one"}, "2": {"name": "two"}}
        world.imported(tenant)
    world.details["acme"] = {"1": {"name": "two"}, "2": {"name": "one"}, "3": {"name": "three"}}
    assert world.imported("acme") == ("completed", 3, 3, 0, 0)
    world.details["acme"]["2"] = {"name": "four"}
    assert world.imported("acme", only=["2"]) == ("completed", 1, 1, 0, 0)
    names = {key: name for key, (name, _) in world.rows().items()}
    assert names == {
        ("acme", "1"): "two",
        ("acme", "2"): "four",
        ("acme", "3"): "three",
        ("beta", "1"): "one",
        ("beta", "2"): "two",
    }


def test_a_row_that_cannot_be_read_does_not_touch_the_other_tenant(world):
    for tenant in ("acme", "beta"):
        world.details[tenant] = {"1": {"name": tenant}}
        world.imported(tenant)
    database = Database(world.settings.database_url)
    with database.write() as connection:
        connection.execute(text("UPDATE things_of_tenants SET state = 'LOST' WHERE tenant = 'acme'"))
    database.close()
    assert world.imported("acme") == ("completed", 1, 1, 0, 0)
    with tracking(world.settings) as connection:
        names = connection.execute(text("SELECT tenant, name FROM things_of_tenants ORDER BY tenant")).all()
    assert [tuple(each) for each in names] == [("acme", "acme"), ("beta", "beta")]


def test_a_row_knows_the_imports_of_its_own_tenant(world):
    for tenant in ("acme", "beta", "beta"):
        world.details[tenant] = {"1": {"name": tenant}}
        world.imported(tenant)
    with tracking(world.settings) as connection, Session(connection) as session:
        found = {row.tenant: [each.import_id for each in row.statuses()] for row in session.scalars(select(Thing))}
    assert found == {"acme": [1], "beta": [3, 2]}


class Plain(ImportableMixin, Base):
    """A row without a column for the tenant."""

    __tablename__ = "plain_things"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(40))

    def detail_request(self):
        return httpx.Request("GET", f"/{self.external_id}")

    def populate(self, detail):
        self.name = detail["name"]


class PlainThings(Things):
    """Tenants of this class write to one table."""

    model = Plain

    def stub(self, item):
        return Plain(external_id=item["id"])


def plain_names(world):
    """Return external id -> name."""
    with tracking(world.settings) as connection:
        found = connection.execute(text("SELECT external_id, name FROM plain_things"))
        return {row.external_id: row.name for row in found}


def test_an_id_of_another_tenant_is_refused_with_what_to_do_and_overwrites_nothing(world):
    acme, beta = configure([PlainThings(name="acme"), PlainThings(name="beta")], world.settings)
    world.details = {
        "acme": {"1": {"name": "a"}, "2": {"name": "b"}},
        "beta": {"1": {"name": "other"}, "3": {"name": "c"}},
    }
    assert world.imported(acme) == ("completed", 2, 2, 0, 0)
    for _ in range(2):
        assert world.imported(beta) == ("completed", 2, 1, 0, 1)
        assert reasons(world.settings) == {
            "1": "acme has an item 1, too, and both would be one row of plain_things: with TenantMixin in place of "
            "ImportableMixin, each tenant has rows of its own"
        }
        assert world.imported(acme) == ("completed", 2, 2, 0, 0), "the first keeps its row"
    world.details["beta"]["2"] = {"name": "chosen"}
    assert world.imported(beta, only=["2"])[-1] == 1
    assert plain_names(world) == {"1": "a", "2": "b", "3": "c"}


def test_an_id_that_the_first_tenant_no_longer_lists_is_free(world):
    acme, beta = configure([PlainThings(name="acme"), PlainThings(name="beta")], world.settings)
    world.details["acme"] = {each: {"name": "a"} for each in "123456"}
    world.details["beta"] = {"1": {"name": "b"}}
    world.imported(acme)
    del world.details["acme"]["1"]
    world.imported(acme)
    assert world.imported(beta) == ("completed", 1, 1, 0, 0)
    assert plain_names(world)["1"] == "b"


def test_a_warning_says_what_happens_to_an_id_of_two_tenants(world):
    [said] = shared_tables([PlainThings(name="acme"), PlainThings(name="beta")])
    assert said == (
        "the sources acme and beta write to one table, plain_things: an id that both have is refused for all but the "
        "first. With TenantMixin each tenant has rows of its own"
    )
    assert shared_tables([Things(name="acme"), Things(name="beta")]) == []


class Other(DeclarativeBase):
    """Another user's tables."""


class Forgetful(TenantMixin, Other):
    """A class whose own arguments replaced the constraint."""

    __tablename__ = "forgetful"
    __table_args__ = ()
    id: Mapped[int] = mapped_column(primary_key=True)


class Kept(TenantMixin, Other):
    """A class whose table is from before it had tenants."""

    __tablename__ = "kept"
    id: Mapped[int] = mapped_column(primary_key=True)


def test_a_table_that_cannot_keep_tenants_apart_is_refused(database_url):
    database = Database(database_url)
    with pytest.raises(SchemaError) as caught:
        ensure_table(database, Forgetful)
    assert str(caught.value) == (
        "Forgetful: the table forgetful allows duplicate external_ids of a tenant; expected "
        'UniqueConstraint("tenant", "external_id") in its __table_args__, and in an existing table'
    )
    with database.write() as connection:
        connection.execute(text("CREATE TABLE kept (id INTEGER PRIMARY KEY, external_id VARCHAR(255) NOT NULL UNIQUE)"))
    with database.read() as connection:
        reasons = [each.reason for each in changes_of(connection, [Kept]).refused]
    assert any(reason.startswith("the column kept.tenant is absent, and existing rows") for reason in reasons)
    with database.write() as connection:
        connection.execute(text("ALTER TABLE kept ADD COLUMN tenant VARCHAR(100) DEFAULT 'acme' NOT NULL"))
        connection.execute(text("CREATE UNIQUE INDEX ours ON kept (tenant, external_id)"))
    with pytest.raises(SchemaError, match=r"^Kept: the table kept allows each external_id only once, and two tenants"):
        ensure_table(database, Kept)
    database.close()
