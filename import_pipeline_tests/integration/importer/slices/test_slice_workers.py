"""Several workers of an import with slices: one reads the lists, and another one goes on when it dies."""

import threading

from import_pipeline.tracking import shards
from import_pipeline_tests.integration.importer.execution.test_interruptions import wait_for
from import_pipeline_tests.support.imports import ending_of, import_process, latest, rows, served, shard_processes
from import_pipeline_tests.support.imports import tracking as tracked
from import_pipeline_tests.support.sliced_api import Comment, Comments, SlicedApi, comments_of, sliced_settings
from import_pipeline_tests.support.sliced_imports import all_of


class GatedApi(SlicedApi):
    """Holds all lists of comments back after the first `free` ones, until the gate is opened."""

    def __init__(self, comments, free):
        super().__init__(comments)
        self.free, self.gate = free, threading.Event()

    def __call__(self, request):
        if "/comments" in request.url.path and self.list_requests >= self.free:
            self.gate.wait(30)
        return super().__call__(request)


def test_a_shard_takes_the_lead_of_one_that_was_killed_and_reads_the_slices_on(home):
    api = GatedApi(comments_of([12] * 15), free=8)
    with served(api.app) as url:
        sources = "import_pipeline_tests.support.sliced_api:SOURCES"
        configured = sliced_settings(
            home,
            COMMENTS_BASE_URL=url,
            ISSUES_BASE_URL=url,
            COMMENTS_SHARDS="2",
            COMMENTS_CONCURRENCY="1",
            IMPORT_PIPELINE_SOURCES=sources,
        )
        with import_process(configured, "issues") as parent:
            assert ending_of(parent) is None
        with import_process(configured, "comments") as lead:
            wait_for(lambda: api.list_requests >= api.free)
            with shard_processes(configured, 2, source="comments") as [shard]:
                wait_for(lambda: workers(configured) == 1)
                lead.kill()
                lead.join(60)
                api.gate.set()
                assert ending_of(shard).ended_it
    row = latest(configured)
    assert (row.status, row.incomplete_reason, row.fence) == ("completed", None, 2)
    assert set(rows(configured, Comment)) == all_of(api)
    assert api.list_requests <= api.needed() + Comments.concurrency


def workers(configured):
    """The number of living shards of the newest import."""
    with tracked(configured) as connection:
        return sum(each.pid is not None for each in shards.of_import(connection, latest(configured).id))
