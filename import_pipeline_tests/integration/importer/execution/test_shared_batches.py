"""Workers that share an import share its batches: nothing is read twice, and few batches are not full."""

import pytest

from import_pipeline import run_import
from import_pipeline.importer.execution.run import execute_import
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.lifecycle.acquire import find_or_create
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.runtime.progress import NullListener
from import_pipeline.importer.source_loader import configure
from import_pipeline.rules.status import Trigger
from import_pipeline_tests.integration.importer.execution.test_interruptions import wait_for
from import_pipeline_tests.integration.importer.execution.test_shard_worker import is_listing, places
from import_pipeline_tests.support.imports import (
    ending_of,
    import_process,
    latest,
    served,
    settings,
    shard_processes,
)
from import_pipeline_tests.support.parcels import ParcelApi, Parcels

ITEMS = 300


@pytest.mark.nightly
def test_three_workers_share_the_batches_of_an_import(home, database_url):
    api = ParcelApi(ITEMS, seconds=0.1)
    source = "import_pipeline_tests.support.parcels:SOURCES"
    with served(api.app) as url:
        configured = settings(
            home,
            url,
            DATABASE_URL=database_url,
            IMPORT_PIPELINE_SOURCES=source,
            ITEMS_SHARDS="3",
            ITEMS_CONCURRENCY="2",
        )
        with import_process(configured) as lead:
            wait_for(lambda: is_listing(configured))
            with shard_processes(configured, 2, 3) as processes:
                assert ending_of(lead) is None
                assert all(not isinstance(ending_of(each), str) for each in processes)
    row = latest(configured)
    assert (row.status, row.items_count, row.items_imported_count) == ("completed", ITEMS, ITEMS)
    assert set(api.reads.values()) == {1}
    assert api.batches <= ITEMS / Parcels.details_per_request + 2, "one of each further worker is not full"
    assert all(each.requests_count for each in places(configured))


def test_concurrency_counts_requests_and_not_items(home):
    api = ParcelApi(60, seconds=0.05)
    with served(api.app) as url:
        configured = settings(home, url, ITEMS_CONCURRENCY="2", ITEMS_CEILING="2")
        summary = run_import("items", settings=configured, sources=[Parcels()])
    assert (summary.status, summary.items_imported_count) == ("completed", 60)
    assert (api.batches, api.most_in_flight) == (20, 2)


class Listener(NullListener):
    """Keeps the stored items."""

    def __init__(self):
        self.items = []

    def items_stored(self, items):
        self.items += items


def test_progress_names_each_item_of_a_batch_with_the_request_that_brought_it(home):
    api, listener = ParcelApi(3), Listener()
    with served(api.app) as url:
        configured = settings(home, url)
        with open_installation(configured, configure([Parcels()], configured)) as installation:
            source = installation.source("items")
            row = find_or_create(installation.database, source, new_import(source, Trigger.CLI), installation.clock)
            execute_import(ImportRun(installation=installation, source=source, listener=listener), row.id)
    assert sorted(each.external_id for each in listener.items) == ["1", "2", "3"]
    assert {(each.tries, each.http_status) for each in listener.items} == {(1, 200)}
    assert len({each.request_seconds for each in listener.items}) == 1
