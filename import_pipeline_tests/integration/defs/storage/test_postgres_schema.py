"""Dagster's tables on Postgres: a separate schema, beside any existing tables."""

from contextlib import closing

import dagster as dg
import pytest
from dagster_postgres import DagsterPostgresStorage
from sqlalchemy import create_engine, text

from import_pipeline.defs.storage.classes import Storage
from import_pipeline.defs.storage.postgres_schema import DAGSTER_TABLES, DEFAULT_SCHEMA, storage_location
from import_pipeline.errors import SchemaError, SettingError
from import_pipeline.settings import load_settings
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.schema import upgrade
from import_pipeline_tests.support.picky_proxy import PickyProxy

#: Tables as an application with Alembic, a queue and a store of its own has them.
THEIRS = {
    "alembic_version": "version_num VARCHAR(32) PRIMARY KEY",
    "runs": "id INTEGER PRIMARY KEY, distance NUMERIC",
    "jobs": "id INTEGER PRIMARY KEY, title TEXT",
    "event_logs": "id INTEGER PRIMARY KEY, line TEXT",
    "kvs": "key TEXT PRIMARY KEY, value TEXT",
}


@pytest.fixture
def engine(postgres_url):
    engine = create_engine(postgres_url)
    yield engine
    engine.dispose()


def schemas(engine):
    """schema -> its tables."""
    asked = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    found = {}
    with engine.connect() as connection:
        for schema, table in connection.execute(text(asked)):
            found.setdefault(schema, set()).add(table)
    return found


def make_theirs(engine, names=tuple(THEIRS), schema="public"):
    with engine.begin() as connection:
        for name in names:
            connection.execute(text(f"CREATE TABLE {schema}.{name} ({THEIRS[name]})"))
        if "alembic_version" in names:
            connection.execute(text(f"INSERT INTO {schema}.alembic_version VALUES ('abc123')"))


def settings(home, url, **more):
    return load_settings({"IMPORT_PIPELINE_HOME": str(home), "DATABASE_URL": url, **more}, home.parent)


@pytest.fixture
def storage(home, postgres_url, monkeypatch):
    """Open Dagster's storage as dagster.yaml does."""

    def storage(url=postgres_url, **more):
        for name, value in {"DATABASE_URL": url, "DAGSTER_SCHEMA": "", **more}.items():
            monkeypatch.setenv(name, value)
        return Storage.from_config_value(None, {"postgres_only": False})

    return storage


def works(storage):
    """Return True if runs can be written and read."""
    run = dg.DagsterRun(job_name="one", run_id="7ed1ca36-5a7c-4b53-a3a2-2d4f1f0b3f1c")
    if not storage.run_storage.has_run(run.run_id):
        storage.run_storage.add_run(run)
    return [each.run_id for each in storage.run_storage.get_runs()] == [run.run_id]


@pytest.mark.parametrize("name", [*THEIRS, None])
def test_tables_of_the_user_stay_as_they_are_beside_dagsters(engine, postgres_url, storage, name):
    names = tuple(THEIRS) if name is None else (name,)
    make_theirs(engine, names)
    with closing(Database(postgres_url)) as database:
        upgrade(database)
    assert works(storage())
    assert works(storage())
    found = schemas(engine)
    assert found["public"] & DAGSTER_TABLES == set(names)
    assert found[DEFAULT_SCHEMA] <= DAGSTER_TABLES
    assert found[DEFAULT_SCHEMA] >= THEIRS.keys()
    with engine.connect() as connection:
        for each in names:
            rows = connection.execute(text(f"SELECT * FROM public.{each}")).all()
            assert [tuple(row) for row in rows] == ([("abc123",)] if each == "alembic_version" else [])


def test_an_installation_that_had_them_in_public_keeps_them_there(engine, postgres_url, storage):
    assert works(DagsterPostgresStorage(postgres_url=postgres_url))
    before = schemas(engine)
    assert works(storage())
    assert schemas(engine) == before == {"public": before["public"]}


def test_what_a_failed_start_has_left_in_public_is_no_installation(engine, storage):
    """An earlier version created the first tables, then met an application's alembic_version."""
    make_theirs(engine, ["alembic_version"])
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE runs (id INTEGER PRIMARY KEY, run_body TEXT)"))
    assert works(storage())
    assert schemas(engine)["public"] == {"alembic_version", "runs"}


def test_the_schema_that_the_setting_names(engine, storage):
    assert works(storage(DAGSTER_SCHEMA="orchestration"))
    assert set(schemas(engine)) == {"orchestration"}


@pytest.mark.parametrize("name", THEIRS)
def test_a_schema_with_foreign_tables_is_refused_and_left_unchanged(home, engine, postgres_url, storage, name):
    make_theirs(engine, [name])
    before = schemas(engine)
    with pytest.raises(SchemaError) as caught:
        storage(DAGSTER_SCHEMA="public")
    assert str(caught.value) == (
        f"the schema public in {postgres_url.replace('only-for-tests', '***')} already has a table {name} that Dagster "
        "did not create. Name another schema in DAGSTER_SCHEMA, or unset it"
    )
    assert schemas(engine) == before


def test_a_role_that_may_not_create_the_schema_gets_an_error(home, engine, postgres_url):
    with engine.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS worker"))
        connection.execute(text("CREATE ROLE worker LOGIN PASSWORD 'planted-secret'"))
    url = postgres_url.replace("postgres:only-for-tests", "worker:planted-secret")
    with pytest.raises(SchemaError) as caught:
        storage_location(settings(home, url))
    assert "the schema import_pipeline_dagster of Dagster's tables cannot be created" in str(caught.value)
    assert "import-pipeline migrate" in str(caught.value)
    assert "planted-secret" not in str(caught.value)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {DEFAULT_SCHEMA}"))
    with pytest.raises(SchemaError, match="the role worker may not use the schema import_pipeline_dagster"):
        storage_location(settings(home, url))
    with engine.begin() as connection:
        connection.execute(text(f"GRANT USAGE ON SCHEMA {DEFAULT_SCHEMA} TO worker"))
    assert storage_location(settings(home, url)).schema == DEFAULT_SCHEMA


def test_a_pooler_that_lets_no_schema_be_chosen_gives_its_own(engine, postgres_url, storage):
    """Tracking and Dagster work through it; a schema that the setting names is refused in one sentence."""
    with PickyProxy(engine.url.port) as port:
        through = postgres_url.replace(f":{engine.url.port}/", f":{port}/")
        with closing(Database(through)) as database:
            upgrade(database)
            with database.read() as connection:
                assert connection.scalar(text("SHOW lock_timeout")) == "30s"
        assert works(storage(through))
        with pytest.raises(SchemaError, match="does not let a client select the schema orchestration"):
            storage(through, DAGSTER_SCHEMA="orchestration")
    assert set(schemas(engine)) == {"public"}
    assert works(storage())  # directly, it is found where it is


@pytest.mark.parametrize("name", ["pg_catalog", "Mine", "a-b", "x" * 64, 'a"; DROP TABLE runs; --'])
def test_a_name_that_is_none_of_a_schema_is_refused(home, name):
    with pytest.raises(SettingError, match="DAGSTER_SCHEMA: expected the name of a schema"):
        settings(home, "postgresql://127.0.0.1:1/none", DAGSTER_SCHEMA=name)
