"""`kill -9` at every point of an import with batches, follow-up requests and child rows."""

import multiprocessing
import os
import signal
from itertools import count

import pytest
from sqlalchemy import delete, func, inspect, select

from import_pipeline_tests.faults.crash_points import CrashPoints, import_past
from import_pipeline_tests.support.imports import latest, served, settings, tracking
from import_pipeline_tests.support.lifecycle import delete_all_rows, tracking_database
from import_pipeline_tests.support.parallel import PRELOAD
from import_pipeline_tests.support.parcels import PARTS, Parcel, ParcelApi, Parcels, Part

#: Twelve items in batches of three, two requests in flight.
ITEMS, IN_FLIGHT = 12, 2
NAMED = ["claim committed", "sent", "received", "marked", "written", "children removed", "children written"]
ENDS = ["written commit", "children written commit", "children written committed", "page commit", "released commit"]


@pytest.fixture
def api():
    """An API of parcels; it counts what it is asked for."""
    api = ParcelApi(ITEMS)
    with served(api.app) as api.url:
        yield api


@pytest.fixture
def configured(home, api, database_url):
    few = dict.fromkeys(("ITEMS_CONCURRENCY", "ITEMS_CEILING"), str(IN_FLIGHT))
    return settings(home, api.url, DATABASE_URL=database_url, **few)


def killed_at(configured, at, point):
    """Import in a process that is killed at that point. Return the point's name, None if it was not reached."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOAD, __name__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_import_and_die, args=(configured, at, point, sender))
    process.start()
    process.join(60)
    assert process.exitcode in {0, -signal.SIGKILL}
    return receiver.recv() if process.exitcode else None


def _import_and_die(configured, at, point, sender):
    def die(met, _):
        sender.send(met)
        os.kill(os.getpid(), signal.SIGKILL)

    import_past(CrashPoints(at=at, strike=die, counts=lambda met: met == point), configured, declared=Parcels())


def assert_the_next_run_completes(configured, api):
    """Each parcel is there once, with its parts, and only batches in flight were requested again."""
    summary = import_past(CrashPoints(), configured, declared=Parcels())
    assert (summary.status, summary.items_imported_count, summary.items_failed_count) == ("completed", ITEMS, 0)
    with tracking(configured) as connection:
        parcels = {row[0]: row[1] for row in connection.execute(select(Parcel.external_id, Parcel.label))}
        parts = connection.execute(
            select(Parcel.external_id, func.count(), func.max(Part.number))
            .join_from(Part, Parcel)
            .group_by(Parcel.external_id)
        )
        assert sorted(map(tuple, parts)) == sorted((str(each), PARTS, PARTS) for each in range(1, ITEMS + 1))
    assert parcels == {str(each): f"parcel {each}" for each in range(1, ITEMS + 1)}
    repeated = sum(times - 1 for times in api.reads.values())
    assert repeated <= IN_FLIGHT * Parcels.details_per_request
    assert latest(configured).resumes == 1
    return repeated


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("point", ["claim committed", "received", "children removed", "children written commit"])
def test_a_kill_at_a_point_of_a_batch_loses_and_doubles_nothing(configured, api, point):
    assert killed_at(configured, 2, point) == point
    assert_the_next_run_completes(configured, api)


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_a_kill_at_any_point_of_a_batch_loses_and_doubles_nothing(configured, api, record_property):
    repeated = {}
    for point in (*NAMED, *ENDS):
        for at in count(1):
            with tracking_database(configured.database_url) as database:
                delete_all_rows(database)
                with database.write() as connection:
                    for table in reversed(Parcel.metadata.sorted_tables):
                        if inspect(connection).has_table(table.name):
                            connection.execute(delete(table))
            api.reads.clear()
            if killed_at(configured, at, point) is None:
                break
            repeated[point, at] = assert_the_next_run_completes(configured, api)
    record_property("points", len(repeated))
    record_property("most_repeated", max(repeated.values()))
    assert {point for point, _ in repeated} >= {*NAMED}
