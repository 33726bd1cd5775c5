"""Fixtures of all tests: real servers, fresh databases, an environment without the developer's own settings."""

import gc
import inspect
import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import closing
from copy import copy
from pathlib import Path
from zlib import crc32

import hypothesis
import pytest

from import_pipeline.redaction import SECRETS
from import_pipeline.settings import SETTINGS
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.schema import upgrade
from import_pipeline_tests.support.database_servers import PostgresServer, RedisServer
from import_pipeline_tests.support.tracked_databases import TrackedDatabases

#: The kinds of databases.
KINDS = ("sqlite", "postgres")
#: Fixtures that run a test once on each kind.
DATABASES = ("database_url", "empty_database_url", "shared_database")
#: Beginnings of variables that would change what the tests do.
OUTSIDE = ("IMPORT_PIPELINE_", "ITEMS_", "PANEL_", "SOURCE_API_", "DAGSTER_")

# No test measures how long an example takes: a busy machine would fail it. CI uses the same examples each time;
# elsewhere hypothesis draws new ones, and many more at night.
hypothesis.settings.register_profile("day", deadline=None, max_examples=50, derandomize="CI" in os.environ)
hypothesis.settings.register_profile("night", deadline=None, max_examples=400)


def pytest_configure(config: pytest.Config) -> None:
    """Load the profile of the night if nightly tests were selected."""
    hypothesis.settings.load_profile("day" if is_day(config) else "night")


def is_day(config: pytest.Config) -> bool:
    """Return True unless the run selects tests of the night, too."""
    return bool(config.option.markexpr == "not nightly")


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, obj: object) -> list[pytest.Item] | None:
    """Make no items of nightly tests by day: they are a third of all, and each would only be deselected."""
    is_nightly = inspect.isfunction(obj) and any(mark.name == "nightly" for mark in getattr(obj, "pytestmark", ()))
    return [] if is_nightly and is_day(collector.config) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run each test that is marked `by_turns` on one kind of database by day; its case decides on which."""
    if not is_day(config):
        return
    left_out = [item for item in items if item.get_closest_marker("by_turns") and not has_its_turn(item)]
    config.hook.pytest_deselected(items=left_out)
    leaving = set(left_out)
    items[:] = [item for item in items if item not in leaving]


def has_its_turn(item: pytest.Item) -> bool:
    """Return False if the same case runs on the other kind of database today."""
    spec = getattr(item, "callspec", None)
    values = {} if spec is None else spec.params
    kind = next((values[name] for name in DATABASES if name in values), None)
    return kind is None or KINDS[crc32(item.name.replace(kind, "").encode()) % len(KINDS)] == kind


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage among the collected tests: all of them stay, and each look takes half a second."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop that async tests run in."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> Iterator[None]:
    """Clear the settings of the environment; a `.env` beside the code sets none either."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(OUTSIDE):
                patch.delenv(name)
        for setting in SETTINGS:
            patch.setenv(setting.name, "")  # counts as absent, and wins over a `.env`
        yield


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own state folder, named by IMPORT_PIPELINE_HOME; it does not exist yet."""
    folder = tmp_path / "home"
    monkeypatch.setenv("IMPORT_PIPELINE_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the test's secrets at its end: they would be masked in the messages that later tests read."""
    for name, value in vars(SECRETS).items():
        if not name.endswith("_lock"):
            monkeypatch.setattr(SECRETS, name, copy(value))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running Postgres, shared by this worker's tests. A test that stops one starts its own."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A running Valkey, shared by this worker's tests. A test that stops one starts its own."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a fresh, empty Postgres database."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of an empty Redis-compatible store."""
    redis_server.flush()
    return redis_server.url()


@pytest.fixture(params=KINDS)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a fresh, empty database: the test runs once on each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'tracking.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(scope="session")
def tracked_databases(postgres_server: PostgresServer) -> TrackedDatabases:
    """Postgres databases with the tracking tables and no rows, lent to one test after the other."""
    return TrackedDatabases(postgres_server)


@pytest.fixture(scope="session")
def tracked_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the tracking tables and no rows."""
    path = tmp_path_factory.mktemp("tracked") / "tracking.db"
    with closing(Database(f"sqlite:///{path}")) as database:
        upgrade(database)
    return path


@pytest.fixture
def tracked_postgres_url(tracked_databases: TrackedDatabases) -> Iterator[str]:
    """The address of a Postgres database with the tracking tables and no rows."""
    url = tracked_databases.take()
    yield url
    tracked_databases.give_back(url)


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database with the tracking tables and no rows: the test runs once on each kind."""
    if request.param == "sqlite":
        path = shutil.copy(request.getfixturevalue("tracked_file"), tmp_path / "tracking.db")
        return f"sqlite:///{path}"
    return str(request.getfixturevalue("tracked_postgres_url"))
