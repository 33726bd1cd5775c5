"""`kill -9` at every named point of an import with slices: the next run loses nothing and stores nothing twice."""

import multiprocessing
import os
import signal
from itertools import count

import pytest

from import_pipeline_tests.faults.crash_points import CrashPoints, import_past
from import_pipeline_tests.support.imports import latest, rows, served
from import_pipeline_tests.support.parallel import PRELOAD
from import_pipeline_tests.support.sliced_api import Comment, SlicedApi, Windows, comments_of, sliced_settings
from import_pipeline_tests.support.sliced_imports import all_of

POINTS = ["keys", "keys commit", "keys committed", "slice", "slice commit", "slice committed", "sent", "received"]
#: The ends of all other transactions, such as the end of the import.
UNNAMED = ["transaction commit", "transaction committed"]
#: The points of a daily run. A nightly run kills an import at every passage of every point.
BY_DAY = [("keys committed", 1), ("slice commit", 1), ("slice committed", 1), ("slice committed", 4), ("received", 4)]


class Reading:
    """An API in a thread of this process, and imports of it in processes that may die."""

    def __init__(self, home, url, api, database_url=None, per_page=10):
        self.home, self.url, self.api, self.database_url, self.per_page = home, url, api, database_url, per_page

    @property
    def source(self):
        """The source, with the keys of the API."""
        return Windows(list(self.api.comments))

    @property
    def settings(self):
        """The settings of a home of its own."""
        own = {"COMMENTS_BASE_URL": self.url, "COMMENTS_PER_PAGE": str(self.per_page)}
        database = {"DATABASE_URL": self.database_url} if self.database_url else {}
        return sliced_settings(self.home, **own, **database)

    def killed_at(self, point, at):
        """Import in a process that is killed at the `at`-th passage of the point. False if it was passed less often."""
        context = multiprocessing.get_context("forkserver")  # a fork of a process with threads may hang
        context.set_forkserver_preload([*PRELOAD, __name__])
        process = context.Process(target=_import_and_die, args=(self.settings, self.source, point, at))
        process.start()
        process.join(600)
        assert process.exitcode in {0, -signal.SIGKILL}
        return process.exitcode != 0

    def completes(self):
        """Import here, and return the number of list requests beyond those that the pages need."""
        summary = import_past(CrashPoints(), self.settings, declared=self.source)
        assert (summary.status, summary.incomplete_reason) == ("completed", None)
        assert set(rows(self.settings, Comment)) == all_of(self.api)
        row = latest(self.settings)
        assert (row.slices_completed_count, row.slices_failed_count) == (row.slices_count, 0)
        assert row.slices_count == len(self.api.comments)
        return self.api.list_requests - self.api.needed()


def _import_and_die(configured, source, point, at):
    def die(met, _):
        os.kill(os.getpid(), signal.SIGKILL)

    import_past(CrashPoints(at=at, strike=die, counts=lambda met: met == point), configured, declared=source)


@pytest.mark.parametrize(("point", "at"), BY_DAY)
def test_a_kill_at_a_named_point_repeats_at_most_what_was_in_flight(home, point, at):
    api = SlicedApi(comments_of([0, 15, 3, 22, 0, 10]))
    with served(api.app) as url:
        reading = Reading(home, url, api)
        assert reading.killed_at(point, at)
        assert reading.completes() <= Windows.concurrency


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_a_kill_at_any_point_repeats_at_most_what_was_in_flight(tmp_path, record_property):
    killed = set()
    for point in (*POINTS, *UNNAMED):
        for at in count(1):
            api = SlicedApi(comments_of([0, 15, 3, 22]))
            with served(api.app) as url:
                reading = Reading(tmp_path / f"{point} {at}", url, api)
                if not reading.killed_at(point, at):
                    break
                assert reading.completes() <= Windows.concurrency
            killed.add((point, at))
    record_property("points", len(killed))
    assert {point for point, _ in killed} == {*POINTS, *UNNAMED}


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_a_thousand_parents_with_up_to_300_children_each_are_read_whole_through_a_kill(home, record_property):
    sizes = [number * 7919 % 301 for number in range(1_000)]
    api = SlicedApi(comments_of(sizes), size=100)
    with served(api.app) as url:
        reading = Reading(home, url, api, per_page=100)
        assert reading.killed_at("slice committed", 900)
        repeated = reading.completes()
    record_property("repeated", repeated)
    assert repeated <= Windows.concurrency
    assert max(api.asked.values()) <= 2
