"""Related rows that stubs and details set: stored with their row, in place of the former ones, or refused by name."""

import pytest
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, select
from sqlalchemy.orm import DeclarativeBase, mapped_column, relationship

from import_pipeline.contracts import ImportableMixin, check_source
from import_pipeline.errors import ContractError
from import_pipeline_tests.support.imported_table import ImportedTable, Row, text
from import_pipeline_tests.support.imports import counts, reasons, tracking


class Orders(ImportedTable):
    """Orders with lines (which have notes), one address, and tags that other orders have, too."""

    def __init__(self, home, database_url, **options):
        super().__init__(home, database_url, {})

        class Base(DeclarativeBase):
            metadata = MetaData()

        class Note(Base):
            __tablename__ = "notes"
            id = mapped_column(Integer, primary_key=True)
            line_id = mapped_column(ForeignKey("lines.id"), nullable=False)
            body = text()

        class Line(Base):
            __tablename__ = "lines"
            id = mapped_column(Integer, primary_key=True)
            order_id = mapped_column(ForeignKey("things.id"), nullable=False)
            sku = mapped_column(String(20), nullable=False)
            notes = relationship(Note, cascade="all, delete-orphan")
            order = relationship("Thing", back_populates="lines")

        class Address(Base):
            __tablename__ = "addresses"
            order_id = mapped_column(ForeignKey("things.id"), primary_key=True)
            city = text()

        class Tag(Base):
            __tablename__ = "tags"
            id = mapped_column(Integer, primary_key=True)
            name = mapped_column(String(50), unique=True)
            colour = text()

        self.tagged = Table(
            "tagged",
            Base.metadata,
            Column("order_id", ForeignKey("things.id"), primary_key=True),
            Column("tag_id", ForeignKey("tags.id"), primary_key=True),
        )
        order = {
            "__tablename__": "things",
            "id": mapped_column(Integer, primary_key=True),
            "name": text(),
            "lines": relationship(Line, back_populates="order", order_by=Line.id, **options),
            "address": relationship(Address, uselist=False, cascade="all, delete-orphan"),
            "tags": relationship(Tag, secondary=self.tagged),
        }
        self.model = type("Thing", (Row, ImportableMixin, Base), order)
        self.Line, self.Note, self.Address, self.Tag = Line, Note, Address, Tag
        type(self.source).model = self.model

    def read(self, model, *columns):
        with tracking(self.settings) as connection:
            wanted = [getattr(model, each) for each in columns]
            return [tuple(row) for row in connection.execute(select(*wanted).order_by(*wanted))]

    def lines(self):
        """Return (external id of the order, sku) in the order of the lines' ids."""
        with tracking(self.settings) as connection:
            wanted = select(self.model.external_id, self.Line.sku).join_from(self.Line, self.model)
            return [tuple(row) for row in connection.execute(wanted.order_by(self.Line.id))]

    def tags(self):
        """Return the pairs of order and tag, and the number of tags."""
        with tracking(self.settings) as connection:
            pairs = select(self.model.external_id, self.Tag.name, self.Tag.colour).join_from(
                self.model, self.tagged, self.model.id == self.tagged.c.order_id
            )
            found = connection.execute(pairs.join(self.Tag, self.Tag.id == self.tagged.c.tag_id))
            return sorted(tuple(row) for row in found), len(self.read(self.Tag, "id"))


@pytest.fixture(params=[{}, {"cascade": "all, delete-orphan"}], ids=["plain", "delete-orphan"])
def orders(home, database_url, request):
    return Orders(home, database_url, **request.param)


@pytest.fixture
def owning(home, database_url):
    return Orders(home, database_url, cascade="all, delete-orphan")


def test_children_are_replaced_in_their_order_and_others_stay(orders):
    line = orders.Line
    orders.details = {
        "1": {"lines": [line(sku="b"), line(sku="a"), line(sku="c")]},
        "2": {"lines": [line(sku="x")]},
        "3": {"name": "none set"},
    }
    assert counts(orders.imported()) == ("completed", 3, 3, 0, 0)
    by_order = [("1", "b"), ("1", "a"), ("1", "c")]
    assert [each for each in orders.lines() if each[0] == "1"] == by_order
    orders.details = {"1": {"name": "no lines set"}, "2": {"lines": [line(sku="y"), line(sku="z")]}, "3": {"lines": []}}
    assert counts(orders.imported()) == ("completed", 3, 3, 0, 0)
    assert sorted(orders.lines()) == sorted([*by_order, ("2", "y"), ("2", "z")])
    orders.details = {"1": {"lines": []}, "2": {}, "3": {}}
    assert counts(orders.imported()) == ("completed", 3, 3, 0, 0)
    assert sorted(orders.lines()) == [("2", "y"), ("2", "z")]


def test_children_of_a_stub_are_stored_with_it(owning):
    owning.stubs = {"1": {"lines": [owning.Line(sku="a")], "address": owning.Address(city="Rome")}}
    owning.details = {"1": {"name": "n"}}
    assert counts(owning.imported()) == ("completed", 1, 1, 0, 0)
    owning.stubs = {"1": {"address": None}}
    assert counts(owning.imported()) == ("completed", 1, 1, 0, 0)
    assert (owning.lines(), owning.read(owning.Address, "city")) == ([("1", "a")], [("Rome",)])


def test_one_related_row_is_replaced_and_removed(owning):
    owning.details = {"1": {"address": owning.Address(city="Rome")}, "2": {"address": owning.Address(city="Oslo")}}
    owning.imported()
    owning.details = {"1": {"address": owning.Address(city="Bonn")}, "2": {"address": None}}
    assert counts(owning.imported()) == ("completed", 2, 2, 0, 0)
    assert owning.read(owning.Address, "city") == [("Bonn",)]


def test_children_may_have_children(owning):
    line, note = owning.Line, owning.Note
    owning.details = {"1": {"lines": [line(sku="a", notes=[note(body="1"), note(body="2")]), line(sku="b")]}}
    owning.imported()
    assert owning.read(note, "body") == [("1",), ("2",)]
    owning.details = {"1": {"lines": [line(sku="b"), line(sku="a", notes=[note(body="3")])]}}
    assert counts(owning.imported()) == ("completed", 1, 1, 0, 0)
    with tracking(owning.settings) as connection:
        found = connection.execute(select(note.body, line.sku).join_from(note, line)).all()
    assert [tuple(row) for row in found] == [("3", "a")]


def test_rows_that_others_link_to_are_shared_and_links_replaced(owning):
    tag = owning.Tag
    owning.details = {"1": {"tags": [tag(name="a"), tag(name="b")]}, "2": {"tags": [tag(name="b", colour="red")]}}
    assert counts(owning.imported()) == ("completed", 2, 2, 0, 0)
    assert owning.tags() == ([("1", "a", None), ("1", "b", "red"), ("2", "b", "red")], 2)
    owning.details = {"1": {"tags": [tag(name="c"), tag(name="c")]}, "2": {"tags": []}}
    assert counts(owning.imported()) == ("completed", 2, 2, 0, 0)
    assert owning.tags() == ([("1", "c", None)], 3)


def test_a_collection_grows_from_nothing_in_populate(owning):
    def populate(self, detail):
        for sku in detail["skus"]:
            self.lines.append(owning.Line(sku=sku))
        if "city" in detail:
            owning.Line(sku="by the way back", order=self)

    owning.model.populate = populate
    owning.details = {"1": {"skus": ["a", "b"]}}
    owning.imported()
    owning.details = {"1": {"skus": ["c"], "city": "Rome"}}
    assert counts(owning.imported()) == ("completed", 1, 1, 0, 0)
    assert owning.lines() == [("1", "c"), ("1", "by the way back")]


def test_children_that_the_database_refuses_fail_their_item_alone(owning):
    owning.details = {each: {"lines": [owning.Line(sku=None if each == "2" else each)]} for each in "123"}
    assert counts(owning.imported()) == ("completed", 3, 2, 0, 1)
    assert "sku" in reasons(owning.settings)["2"]
    assert sorted(owning.lines()) == [("1", "1"), ("3", "3")]


def test_unchanged_items_keep_their_children(owning):
    type(owning.source).version = lambda self, item: "1"
    owning.stubs = {"1": {"lines": [owning.Line(sku="a")]}}
    owning.details = {"1": {"name": "n"}}
    owning.imported()
    owning.stubs = {"1": {"lines": [owning.Line(sku="b")]}}
    assert counts(owning.imported()) == ("completed", 1, 0, 1, 0)
    assert owning.lines() == [("1", "a")]


def test_a_fresh_import_deletes_what_belongs_to_a_row_that_is_gone(owning):
    line, note, tag = owning.Line, owning.Note, owning.Tag

    def whole(name):
        lines = [line(sku=name, notes=[note(body=name)])]
        return {"lines": lines, "address": owning.Address(city=name), "tags": [tag(name=name)]}

    owning.details = {each: whole(each) for each in "123"}
    owning.imported()
    owning.details = {each: whole(each) for each in "12"}
    assert counts(owning.imported(fresh=True)) == ("completed", 2, 2, 0, 0)
    assert sorted(owning.rows()) == ["1", "2"]
    assert owning.read(note, "body") == owning.read(owning.Address, "city") == [("1",), ("2",)]
    assert owning.tags() == ([("1", "1", None), ("2", "2", None)], 3)


def test_a_fresh_import_keeps_a_row_whose_children_are_not_said_to_belong_to_it(home, database_url):
    orders = Orders(home, database_url)
    orders.details = {each: {"lines": [orders.Line(sku=each)]} for each in "12"}
    orders.imported()
    orders.details.pop("2")
    orders.details["1"] = {"name": "n"}
    assert counts(orders.imported(fresh=True)) == ("completed", 1, 1, 0, 0)
    assert sorted(orders.rows()) == ["1", "2"], "marked as removed: its lines refer to it"


def declared(**attributes):
    """Return a class of rows whose relationship `other` is made by the arguments."""

    class Base(DeclarativeBase):
        metadata = MetaData()

    class Other(Base):
        __tablename__ = "others"
        id = mapped_column(Integer, primary_key=True)
        thing_id = mapped_column(ForeignKey("things.id"))
        kind = text()

    class Plain(Base):
        __tablename__ = "plain"
        id = mapped_column(Integer, primary_key=True)

    Table(
        "links",
        Base.metadata,
        Column("thing_id", ForeignKey("things.id"), primary_key=True),
        Column("plain_id", ForeignKey("plain.id"), primary_key=True),
    )

    def populate(self, detail):
        self.other = detail

    body = {
        "__tablename__": "things",
        "id": mapped_column(Integer, primary_key=True),
        "plain_id": mapped_column(ForeignKey("plain.id")),
        "parent_id": mapped_column(ForeignKey("things.id")),
        "detail_request": Row.detail_request,
        "populate": populate,
    }
    return type("Thing", (ImportableMixin, Base), body | attributes)


OBSTACLES = {
    "many to one": ({"other": relationship("Plain")}, "refers to a row that others share: set its foreign key's"),
    "dynamic": ({"other": relationship("Other", lazy="dynamic")}, 'has lazy="dynamic"'),
    "itself": (
        {"other": relationship("Thing", foreign_keys="Thing.parent_id")},
        "has rows of the same table, which are items themselves",
    ),
    "a condition": (
        {"other": relationship("Other", primaryjoin="and_(Thing.id == Other.thing_id, Other.kind == 'a')")},
        "has a condition beyond its foreign keys",
    ),
    "two of one key": (
        {"other": relationship("Other"), "more_others": relationship("Other", overlaps="other")},
        "has the same foreign key as more_others: make one of them viewonly",
    ),
    "no identity": (
        {"other": relationship("Plain", secondary="links")},
        "links to Plain, which has no key that the source sets",
    ),
}


@pytest.mark.parametrize(("attributes", "said"), OBSTACLES.values(), ids=OBSTACLES)
def test_a_relationship_that_cannot_be_stored_is_refused_when_the_source_is_loaded(owning, attributes, said):
    model = declared(**attributes)
    source = type(type(owning.source).__name__, (type(owning.source),), {"model": model})()
    with pytest.raises(ContractError) as refused:
        check_source(source)
    assert str(refused.value).startswith("items.model.other: expected not to be set in populate, got a relationship")
    assert said in str(refused.value)


def test_a_relationship_that_nothing_sets_is_left_alone(owning):
    model = declared(other=relationship("Plain"), populate=Row.populate)
    source = type("Things", (type(owning.source),), {"model": model})()
    assert check_source(source) is source
