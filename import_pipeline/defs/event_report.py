"""Dagster's report of an import: partitions page by page, materializations in the gaps of the limiter, many at once.

The tracking tables are the truth. The report costs up to 20 ms of CPU per event, so it never runs while permits are
free: a limited import pays nothing for it, an unlimited one is over before the rest of it is written. In the same gaps,
every few seconds, it observes how far the import is.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import metadata, names
from import_pipeline.defs.partitions import BucketQueue, ItemQueue, MaterializationQueue
from import_pipeline.defs.storage.classes import store_materializations
from import_pipeline.errors import Unavailable
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.limiter_usage import UsageReader
from import_pipeline.importer.monitoring.queries import import_progress
from import_pipeline.importer.runtime.api_client import ApiClient
from import_pipeline.importer.runtime.progress import StoredItem
from import_pipeline.tracking.database.engine import Database

#: A gap shorter than this is not worth an event.
SHORTEST_GAP_SECONDS = 0.06
#: How long the reporter looks away while there is no gap.
POLL_SECONDS = 0.05
#: What one event is taken to cost before the first was measured, and how many go into one write at most.
INITIAL_SECONDS_PER_EVENT = 0.02
MAX_BATCH = 500
#: A person who watches sees it move; a thousand of them are no burden.
OBSERVE_SECONDS = 5.0
#: For what a run still has to tell when it cannot go on: the next one waits for its place.
FINAL_REPORT_LIMIT = timedelta(seconds=20)


class EventReporter:
    """A listener that passes on to Dagster what the ledger has stored. `finish()` writes what is left.

    `add` makes partitions, `store` writes materializations, `queue` says which; `observe` tells how far the import is.
    """

    def __init__(
        self,
        queue: MaterializationQueue,
        *,
        add_partitions: Callable[[Sequence[str]], None],
        store: Callable[[Sequence[dg.AssetMaterialization]], None],
        observe: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._add_partitions = add_partitions
        self._store = store
        self._seconds_per_event = INITIAL_SECONDS_PER_EVENT  #: seconds per event, as the last write went
        self._api: ApiClient | None = None
        self._observe = observe
        self._observed_at = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dagster-report", daemon=True)

    def start(self) -> None:
        """Begin to report while the import goes on; from here on `finish()` or `stop()` must be called."""
        self._thread.start()

    def api_opened(self, api: ApiClient) -> None:
        """The API whose limiter tells where the gaps are."""
        self._api = api

    def page_stored(self, external_ids: Sequence[str]) -> None:
        """Add the items' partitions."""
        if keys := self._queue.partitions_of(external_ids):
            self._add_partitions(keys)

    def items_stored(self, items: Sequence[StoredItem]) -> None:
        """Report the items when there is time."""
        self._queue.add(items)

    def stop(self) -> None:
        """Stop reporting; what is left is left to `finish()`."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def finish(self, within: timedelta | None = None) -> None:
        """Report what is left, on the caller's time: all of it, or what can be written in that time.

        Afterwards the op may yield.
        """
        self.stop()
        deadline = math.inf if within is None else time.monotonic() + within.total_seconds()
        while (left := deadline - time.monotonic()) > 0 and self._write(self._batch_size(left), last=True):
            pass

    def _run(self) -> None:
        while not self._stopping.is_set():
            gap = self._api.limiter.blocked_for() if self._api else 0.0
            if gap > SHORTEST_GAP_SECONDS and time.monotonic() - self._observed_at >= OBSERVE_SECONDS:
                self._observed_at = time.monotonic()
                self._observe()
            elif gap <= SHORTEST_GAP_SECONDS or not self._write(self._batch_size(gap), last=False):
                self._stopping.wait(POLL_SECONDS)

    def _batch_size(self, seconds: float) -> int:
        """How many events can be written in that time, as the last ones went."""
        return max(1, int(min(MAX_BATCH, seconds / self._seconds_per_event)))

    def _write(self, most: int, *, last: bool) -> bool:
        """Write up to so many events; False where there were none."""
        events = self._queue.due(most, last=last)
        if events:
            began = time.monotonic()
            self._store(events)
            self._seconds_per_event = (time.monotonic() - began) / len(events)
        return bool(events)


def event_reporter(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    step: str,
    source: ImportSource,
    database: Database,
    import_id: int,
    observe: Callable[[], None],
) -> EventReporter:
    """What a step of a run tells of its work on an import, in the source's partitions."""
    asset, is_bucketed = names.enriched(source.name), source.partitions.size is not None
    partitions = names.partitions(source.name, in_buckets=is_bucketed)

    tags = names.materialization_tags(source.name, run.run_id)

    def materialization(item: StoredItem) -> dg.AssetMaterialization:
        found = metadata.of_item(item, import_id)
        return dg.AssetMaterialization(asset_key=asset, partition=item.external_id, metadata=found, tags=tags)

    by_bucket = BucketQueue(asset, source, database, import_id, tags)
    return EventReporter(
        by_bucket if is_bucketed else ItemQueue(materialization),
        add_partitions=lambda keys: instance.add_dynamic_partitions(partitions, list(keys)),
        store=lambda events: store_materializations(instance, run, step, events),
        observe=observe,
    )


def observations(installation: Installation, usage: UsageReader, import_id: int) -> Iterator[dg.AssetObservation]:
    """How far the import is now; nothing where the stores do not answer, or before the first item is done."""
    try:
        view, forecast = import_progress(installation, import_id, usage)
    except Unavailable:
        return
    if view.is_running and view.done:
        figures = metadata.of_progress(view, forecast)
        total = "?" if view.row.items_count is None else view.row.items_count
        yield dg.AssetObservation(
            asset_key=names.enriched(view.row.source),
            description=f"Import {import_id}: {view.done} of {total} items",
            metadata=figures,
        )
