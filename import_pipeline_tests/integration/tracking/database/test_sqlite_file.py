"""A SQLite file that vanishes, or is replaced, while it is in use: nothing may be taken for stored."""

import shutil
import threading
from contextlib import closing
from dataclasses import replace as replace_in

import pytest
from sqlalchemy import text

from import_pipeline.errors import DatabaseUnavailable
from import_pipeline.importer.execution.heartbeat import Heartbeat
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.database.retrying import Patience
from import_pipeline.tracking.heartbeats import Pulse
from import_pipeline.tracking.schema import upgrade
from import_pipeline_tests.support.lifecycle import SimulatedInstallation

GONE = "was deleted or replaced while it was in use: later writes to it are lost"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def database(folder):
    with closing(Database(f"sqlite:///{folder / 'a.db'}")) as database:
        with database.write() as connection:
            connection.execute(text("CREATE TABLE things (name TEXT)"))
        yield database


def write(connection):
    connection.execute(text("INSERT INTO things VALUES ('a')"))


def delete_folder(folder):
    shutil.rmtree(folder)


def delete_file(folder):
    (folder / "a.db").unlink()


def replace(folder):
    """As a restored backup does, or another start beside this process."""
    shutil.copy(folder / "a.db", folder / "b.db")
    (folder / "b.db").rename(folder / "a.db")


@pytest.mark.parametrize("trouble", [delete_folder, delete_file, replace])
def test_a_write_after_it_is_refused_at_once_and_no_empty_file_takes_its_place(database, folder, trouble):
    with database.engine.connect():  # one more is in use: the next one has to be made
        trouble(folder)
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable, match=GONE):
                database.transact(write, Patience(seconds=60))
    assert (folder / "a.db").exists() is (trouble is replace)


def test_a_write_during_which_it_vanishes_is_refused(database, folder):
    def unit(connection):
        write(connection)
        delete_folder(folder)

    with pytest.raises(DatabaseUnavailable, match=GONE):
        database.transact(unit)


def test_the_heartbeat_ends_the_work_with_that_reason(database, folder):
    """At once: no lease has to run out first."""
    upgrade(database)
    simulation, ends, ended = SimulatedInstallation(database), [], threading.Event()
    lease = replace_in(simulation.begin(simulation.slot(simulation.now)).lease, seconds=0.1)
    delete_folder(folder)

    def on_end(error):
        ends.append(error)
        ended.set()

    with Heartbeat(
        database, lease, simulation.clock, pulse=lambda connection: Pulse(), on_end=on_end, patience_seconds=9999
    ):
        assert ended.wait(60)
    assert [GONE in str(error) for error in ends] == [True]


def test_a_file_that_stays_may_be_moved_into_and_linked_to(tmp_path, folder):
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    with closing(Database(f"sqlite:///{tmp_path / 'link' / 'a.db'}")) as database:
        with database.write() as connection:
            connection.execute(text("CREATE TABLE things (name TEXT)"))
        database.transact(write)
        with database.read() as connection:
            assert connection.scalar(text("SELECT count(*) FROM things")) == 1
