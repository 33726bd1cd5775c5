"""Report an import's items to Dagster while the rate limits make the import wait.

Items become partitions as list pages are stored, and materializations once their details are stored. An event costs up
to 20 ms of CPU. The reporter therefore writes, in batches, only while no permit is free: a limited import loses no
time, and an unlimited one writes most events at its end. In the same gaps it records the import's progress every few
seconds. The tracking tables stay the source of truth.
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
from import_pipeline.defs.translation import keys
from import_pipeline.errors import Unavailable
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.limiter_usage import UsageReader
from import_pipeline.importer.monitoring.queries import import_progress
from import_pipeline.importer.runtime.api_client import ApiClient
from import_pipeline.importer.runtime.progress import StoredItem
from import_pipeline.tracking.database.engine import Database

#: The shortest wait for a permit that is used for writing events.
SHORTEST_GAP_SECONDS = 0.06
#: Pause between two checks for such a wait.
POLL_SECONDS = 0.05
#: Assumed cost of one event until the first write was measured, and the largest batch.
INITIAL_SECONDS_PER_EVENT = 0.02
MAX_BATCH = 500
#: Time between two observations of the progress: often enough to watch, and cheap for an import of hours.
OBSERVE_SECONDS = 5.0
#: Time for the last events of a run that must stop: the next run waits for its slot in the queue.
FINAL_REPORT_LIMIT = timedelta(seconds=20)


class EventReporter:
    """A progress listener that reports stored items to Dagster from a thread. `finish()` writes the remaining events.

    `queue` decides which materializations are due. `add_partitions` and `store` write to Dagster; `observe` records the
    import's progress.
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
        self._seconds_per_event = INITIAL_SECONDS_PER_EVENT
        self._api: ApiClient | None = None
        self._observe = observe
        self._observed_at = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dagster-report", daemon=True)

    def start(self) -> None:
        """Start the reporter thread. The caller must call `finish()` or `stop()` afterwards."""
        self._thread.start()

    def api_opened(self, api: ApiClient) -> None:
        """Take the API client: its limiter knows when no permit is free."""
        self._api = api

    def page_stored(self, external_ids: Sequence[str]) -> None:
        """Add the partitions of the items of a stored list page."""
        if keys := self._queue.partitions_of(external_ids):
            self._add_partitions(keys)

    def items_stored(self, items: Sequence[StoredItem]) -> None:
        """Queue the items; the thread reports them in the next gap."""
        self._queue.add(items)

    def stop(self) -> None:
        """Stop the thread. Events not yet written are left to `finish()`."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def finish(self, within: timedelta | None = None) -> None:
        """Stop the thread and write the remaining events: all of them, or as many as fit into the time `within`.

        Only afterwards may the op yield its own events.
        """
        self.stop()
        deadline = math.inf if within is None else time.monotonic() + within.total_seconds()
        while (left := deadline - time.monotonic()) > 0 and self._write(self._batch_size(left), last=True):
            pass

    def _run(self) -> None:
        while not self._stopping.is_set():
            gap = self._api.blocked_for() if self._api else 0.0
            if gap > SHORTEST_GAP_SECONDS and time.monotonic() - self._observed_at >= OBSERVE_SECONDS:
                self._observed_at = time.monotonic()
                self._observe()
            elif gap <= SHORTEST_GAP_SECONDS or not self._write(self._batch_size(gap), last=False):
                self._stopping.wait(POLL_SECONDS)

    def _batch_size(self, seconds: float) -> int:
        """Return how many events fit into that time, from the measured cost of the last write."""
        return max(1, int(min(MAX_BATCH, seconds / self._seconds_per_event)))

    def _write(self, most: int, *, last: bool) -> bool:
        """Write up to `most` events. Return False if none is due."""
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
    """Return the reporter for one step of a run, which reports in the source's partitions: items or buckets."""
    asset, is_bucketed = keys.enriched(source), source.partitions.size is not None
    partitions = names.partitions(source.name, in_buckets=is_bucketed)

    tags = keys.materialization_tags(source, run.run_id)

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


def observations(
    installation: Installation, source: ImportSource, usage: UsageReader, import_id: int
) -> Iterator[dg.AssetObservation]:
    """Yield an observation of a running import's progress, for its enriched asset.

    Yield nothing before the first item is done, or while a store does not answer. Assets without partitions get no
    observations: these would interrupt the charts that Dagster draws over imports.
    """
    try:
        view, forecast = import_progress(installation, import_id, usage)
    except Unavailable:
        return
    if view.is_running and view.done:
        figures = metadata.of_progress(view, forecast)
        total = "?" if view.row.items_count is None else view.row.items_count
        yield dg.AssetObservation(
            asset_key=keys.enriched(source),
            description=f"Import {import_id}: {view.done} of {total} items",
            metadata=figures,
        )
