"""Related rows of less usual mappings: eager, keyed, with composite keys, moved between rows, in whole list items."""

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Integer, MetaData, String, select
from sqlalchemy.orm import DeclarativeBase, mapped_column, relationship
from sqlalchemy.orm.collections import attribute_keyed_dict

from import_pipeline.contracts import ImportableMixin
from import_pipeline_tests.support.imported_table import ImportedTable, Row, text
from import_pipeline_tests.support.imports import counts, reasons, tracking


def table_of(home, database_url, declare, mixins=(Row, ImportableMixin)):
    """Return an imported table whose classes `declare` makes on a base: the child class, and the row's columns."""
    base = type("Base", (DeclarativeBase,), {"metadata": MetaData()})
    child, columns = declare(base)
    things = ImportedTable(home, database_url, {})
    columns = {"__tablename__": "things", "name": text()} | columns
    things.model = type(things.source).model = type("Thing", (*mixins, base), columns)
    things.child = child
    return things


def stored(things, *names):
    with tracking(things.settings) as connection:
        columns = [getattr(things.child, name) for name in names]
        return sorted(tuple(row) for row in connection.execute(select(*columns)))


def keyed(base):
    class Field(base):
        __tablename__ = "fields"
        thing_id = mapped_column(ForeignKey("things.id"), primary_key=True)
        key = mapped_column(String(20), primary_key=True)
        value = text()

    fields = relationship(Field, collection_class=attribute_keyed_dict("key"), lazy="joined")
    return Field, {"id": mapped_column(Integer, primary_key=True), "fields": fields}


def test_a_mapping_that_is_loaded_eagerly_is_replaced(home, database_url):
    things = table_of(home, database_url, keyed)
    things.details = {"1": {"fields": {"a": things.child(key="a", value="1"), "b": things.child(key="b", value="2")}}}
    things.imported()
    things.details = {"1": {"fields": {"b": things.child(key="b", value="3")}}}
    assert counts(things.imported()) == ("completed", 1, 1, 0, 0)
    assert stored(things, "key", "value") == [("b", "3")]


def composite(base):
    class Line(base):
        __tablename__ = "lines"
        id = mapped_column(Integer, primary_key=True)
        shop = mapped_column(String(20))
        number = mapped_column(Integer)
        sku = text()
        __table_args__ = (ForeignKeyConstraint(["shop", "number"], ["things.shop", "things.number"]),)

    key = {"shop": mapped_column(String(20), primary_key=True), "number": mapped_column(Integer, primary_key=True)}
    return Line, {**key, "lines": relationship(Line, cascade="all, delete-orphan")}


def test_a_row_with_a_key_of_two_columns_has_children(home, database_url):
    things = table_of(home, database_url, composite)
    things.stubs = {each: {"shop": "s", "number": int(each)} for each in "12"}
    things.details = {each: {"lines": [things.child(sku=each), things.child(sku="x")]} for each in "12"}
    things.imported()
    things.details["2"] = {"lines": [things.child(sku="y")]}
    things.details["1"] = {}
    assert counts(things.imported()) == ("completed", 2, 2, 0, 0)
    assert stored(things, "number", "sku") == [(1, "1"), (1, "x"), (2, "y")]
    things.details.pop("2")
    things.imported(fresh=True)
    assert stored(things, "number", "sku") == [(1, "1"), (1, "x")]


def naturally(base):
    class Seat(base):
        __tablename__ = "seats"
        code = mapped_column(String(20), primary_key=True)
        thing_id = mapped_column(ForeignKey("things.id"))

    return Seat, {"id": mapped_column(Integer, primary_key=True), "seats": relationship(Seat)}


def test_a_child_with_a_key_of_its_own_moves_from_row_to_row(home, database_url):
    things = table_of(home, database_url, naturally)
    things.details = {"1": {"seats": []}, "2": {"seats": [things.child(code="a")]}, "3": {"seats": []}}
    things.imported()
    things.details = {"1": {"seats": [things.child(code="a")]}, "2": {"seats": [things.child(code="b")]}, "3": {}}
    assert counts(things.imported()) == ("completed", 3, 3, 0, 0)
    assert stored(things, "code") == [("a",), ("b",)]


def test_a_child_that_two_rows_claim_fails_one_of_them(home, database_url):
    things = table_of(home, database_url, naturally)
    things.details = {each: {"seats": [things.child(code="a")]} for each in "12"}
    assert counts(things.imported()) == ("completed", 2, 1, 0, 1)
    [reason] = reasons(things.settings).values()
    assert "refuses the row" in reason
    assert stored(things, "code") == [("a",)]


def test_rows_of_another_class_fail_their_item(home, database_url):
    things = table_of(home, database_url, naturally)
    things.details = {"1": {"seats": []}}
    things.model.populate = lambda self, detail: setattr(self, "seats", [things.model(external_id="x")])
    assert counts(things.imported()) == ("completed", 1, 0, 0, 1)


def test_children_of_whole_list_items_are_stored_with_them(home, database_url):
    things = table_of(home, database_url, naturally, mixins=(ImportableMixin,))
    things.stubs = {"1": {"seats": [things.child(code="a")]}, "2": {}}
    things.details = {"1": {}, "2": {}}
    assert counts(things.imported()) == ("completed", 2, 2, 0, 0)
    things.stubs = {"1": {"seats": [things.child(code="b"), things.child(code="c")]}}
    assert counts(things.imported()) == ("completed", 2, 2, 0, 0)
    assert stored(things, "code") == [("b",), ("c",)]


def test_relationships_that_a_constructor_sets_to_nothing_delete_nothing(home, database_url):
    things = table_of(home, database_url, naturally)
    things.details = {"1": {"seats": [things.child(code="a")]}}
    things.imported()
    things.stubs, things.details = {"1": {"seats": []}}, {"1": {}}
    assert counts(things.imported()) == ("completed", 1, 1, 0, 0)
    assert stored(things, "code") == [("a",)]


def dynamic(base):
    class Seat(base):
        __tablename__ = "seats"
        code = mapped_column(String(20), primary_key=True)
        thing_id = mapped_column(ForeignKey("things.id"))

    return Seat, {"id": mapped_column(Integer, primary_key=True), "seats": relationship(Seat, lazy="dynamic")}


def test_rows_of_a_relationship_that_holds_none_fail_their_item(home, database_url):
    things = table_of(home, database_url, dynamic)
    things.stubs = {"1": {"seats": [things.child(code="a")]}}
    things.details = {"1": {}, "2": {"seats": [things.child(code="b")]}, "3": {}}
    assert counts(things.imported()) == ("completed", 3, 1, 0, 2)
    assert 'Thing.seats is a relationship that has lazy="dynamic"' in reasons(things.settings)["1"]
