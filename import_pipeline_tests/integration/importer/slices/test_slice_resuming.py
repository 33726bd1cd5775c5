"""Imports with slices whose process dies, or whose settings change between two processes."""

import itertools

import pytest

from import_pipeline.importer.slices.enumeration import BATCH_SECONDS
from import_pipeline.testing import FakeClock
from import_pipeline.tracking import imports
from import_pipeline_tests.support.dying_process import ProcessDied
from import_pipeline_tests.support.imports import tracking
from import_pipeline_tests.support.sliced_api import Comments, SlicedApi, Windows, comments_of
from import_pipeline_tests.support.sliced_imports import Importing, all_of

SIZES = [25, 0, 11, 40, 1, 33]


def die(request):
    raise ProcessDied


class OneByOne(Windows):
    """Reads one slice at a time, so that the order of the requests is known."""

    concurrency = 1


@pytest.mark.parametrize("death", range(1, 16))
def test_a_process_that_dies_at_any_request_repeats_only_that_one(home, death):
    importing = Importing(home, SlicedApi(comments_of(SIZES)))
    needed = importing.api.needed()
    summary, processes = importing.through_deaths(OneByOne(list(importing.api.comments)), [death])
    assert (summary.status, summary.incomplete_reason, importing.comments) == (
        "completed",
        None,
        all_of(importing.api),
    )
    assert (processes, importing.api.list_requests) == (1 + (death <= needed), needed)


def test_processes_that_die_again_and_again_repeat_at_most_what_was_in_flight(home):
    importing = Importing(home, SlicedApi(comments_of([30] * 20)))
    deaths = [15, 30, 45]
    summary, processes = importing.through_deaths(Windows(list(importing.api.comments)), deaths)
    assert (summary.status, importing.comments, processes) == ("completed", all_of(importing.api), 4)
    assert importing.api.list_requests <= importing.api.needed() + len(deaths) * Comments.concurrency


def test_keys_of_a_generator_are_asked_for_again_and_known_ones_are_left_out(home):
    """The second process lists other windows than the first: all are read, each once."""
    importing = Importing(home, SlicedApi(comments_of([3, 4, 5]), answers={"1": die}), clock=FakeClock())

    class Growing(OneByOne):
        calls = 0

        def slices(self):
            type(self).calls += 1
            yield from self.first() if self.calls == 1 else ["2", "3"]

        def first(self):
            """Yield until the process dies; each key is a batch of its own, since it takes long."""
            for key in itertools.chain("12", itertools.repeat("2")):
                importing.clock.advance(BATCH_SECONDS)
                yield key

    with pytest.raises(ProcessDied):
        importing.children(Growing([]))
    importing.api.answers.clear()
    summary = importing.children(Growing([]))
    assert (summary.status, importing.comments) == ("completed", all_of(importing.api))
    assert dict(importing.api.asked) == {("1", 1): 2, ("2", 1): 1, ("3", 1): 1}


def test_another_page_size_restarts_only_the_slices_that_were_begun(home):
    importing = Importing(home, SlicedApi(comments_of([15, 35, 15])))
    source = OneByOne(list(importing.api.comments))
    importing.api.answers["2", 3] = die
    with pytest.raises(ProcessDied):
        importing.children(source)
    del importing.api.answers["2", 3]
    source.per_page = 9
    summary = importing.children(source)
    assert (summary.status, summary.incomplete_reason, importing.comments) == (
        "completed",
        None,
        all_of(importing.api),
    )
    asked = importing.api.asked
    assert (asked["1", 1], asked["2", 1], asked["3", 1]) == (1, 2, 1)


def test_a_resumed_import_counts_its_progress_by_slices(home):
    """Empty slices are progress too: an import that dies often ends all the same."""
    importing = Importing(home, SlicedApi(comments_of([0] * 12)))
    deaths = range(2, 19, 2)  # each process reads one slice
    summary, processes = importing.through_deaths(OneByOne(list(importing.api.comments)), deaths)
    assert (summary.status, summary.import_id, processes) == ("completed", 1, len(deaths) + 1)


def test_a_source_that_gets_a_parent_between_two_processes_reads_the_parents_slices(home):
    importing = Importing(home, SlicedApi(comments_of([5, 5])))
    importing.parents()
    importing.api.answers["x"] = die
    with pytest.raises(ProcessDied):
        importing.windows(["x", "y"])
    summary = importing.children()
    assert (summary.status, summary.incomplete_reason, importing.comments) == (
        "completed",
        None,
        all_of(importing.api),
    )
    with tracking(importing.settings) as connection:
        assert imports.get(connection, summary.import_id).slices_count == 2
