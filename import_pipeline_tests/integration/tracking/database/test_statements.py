"""Statements are compiled once for all databases of one kind."""

import pytest
from sqlalchemy import literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ColumnElement

from import_pipeline.tracking.database.engine import Database


@pytest.fixture
def compiled():
    """The kinds of database for which the statements of `value_of` were compiled."""
    return []


@pytest.fixture
def value_of(compiled):
    """Return a function that opens a database, reads a value through it, and closes it."""

    class Noted(ColumnElement):
        inherit_cache = True
        _traverse_internals = ()

    @compiles(Noted)
    def _compile(element, compiler, **options):
        compiled.append(compiler.dialect.name)
        return "1"

    def read(url, value):
        database = Database(url)
        try:
            with database.read() as connection:
                return connection.execute(select(Noted(), literal(value))).one()[1]
        finally:
            database.close()

    return read


def test_a_statement_is_compiled_once_however_often_databases_are_opened(tmp_path, value_of, compiled):
    urls = [f"sqlite:///{tmp_path / name}.db" for name in ("one", "another")] * 2
    assert [value_of(url, number) for number, url in enumerate(urls)] == [0, 1, 2, 3]
    assert compiled == ["sqlite"]


def test_each_kind_of_database_has_statements_of_its_own(tmp_path, postgres_url, value_of, compiled):
    for value in ("a\\\\b", "c"):
        assert value_of(postgres_url, value) == value_of(f"sqlite:///{tmp_path / 'one.db'}", value) == value
    assert compiled == ["postgresql", "sqlite"]
