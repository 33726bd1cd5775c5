"""Dagster's report of an import: partitions page by page, materializations in the gaps of the limiter, many at once.

The tracking tables are the truth. The report costs up to 20 ms of CPU per event, so it never runs while permits are
free: a limited import pays nothing for it, an unlimited one is over before the rest of it is written. In the same gaps,
every few seconds, it observes how far the import is.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import metadata, names
from import_pipeline.defs.partitions import Told, ToldByBucket, ToldByItem
from import_pipeline.defs.progress import OBSERVE_SECONDS
from import_pipeline.defs.storage.classes import store_materializations
from import_pipeline.importer.runtime.api_client import ApiClient
from import_pipeline.importer.runtime.progress import StoredItem
from import_pipeline.tracking.database.engine import Database

#: A gap shorter than this is not worth an event.
SHORTEST_GAP_SECONDS = 0.06
#: How long the reporter looks away while there is no gap.
LOOK_AGAIN_SECONDS = 0.05
#: What one event is taken to cost before the first was measured, and how many go into one write at most.
FIRST_PACE_SECONDS = 0.02
MOST_AT_ONCE = 500
#: For what a run still has to tell when it cannot go on: the next one waits for its place.
LAST_WORDS = timedelta(seconds=20)


class Report:
    """A listener that passes on to Dagster what the ledger has stored. `finish()` writes what is left.

    `add` makes partitions, `store` writes materializations, `told` says which; `observe` tells how far the import is.
    """

    def __init__(
        self,
        told: Told,
        *,
        add: Callable[[Sequence[str]], None],
        store: Callable[[Sequence[dg.AssetMaterialization]], None],
        observe: Callable[[], None],
    ) -> None:
        self._told = told
        self._add = add
        self._store = store
        self._pace = FIRST_PACE_SECONDS  #: seconds per event, as the last write went
        self._api: ApiClient | None = None
        self._observe = observe
        self._observed_at = time.monotonic()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dagster-report", daemon=True)

    def start(self) -> None:
        """Begin to report while the import goes on; from here on `finish()` or `stop()` must be called."""
        self._thread.start()

    def opened(self, api: ApiClient) -> None:
        """The API whose limiter tells where the gaps are."""
        self._api = api

    def page_stored(self, external_ids: Sequence[str]) -> None:
        """Add the items' partitions."""
        if keys := self._told.keys_of(external_ids):
            self._add(keys)

    def items_stored(self, items: Sequence[StoredItem]) -> None:
        """Report the items when there is time."""
        self._told.take(items)

    def stop(self) -> None:
        """Stop reporting; what is left is left to `finish()`."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def finish(self, within: timedelta | None = None) -> None:
        """Report what is left, on the caller's time: all of it, or what can be written in that time.

        Afterwards the op may yield.
        """
        self.stop()
        deadline = math.inf if within is None else time.monotonic() + within.total_seconds()
        while (left := deadline - time.monotonic()) > 0 and self._write(self._fit(left), last=True):
            pass

    def _run(self) -> None:
        while not self._ending.is_set():
            gap = self._api.limiter.blocked_for() if self._api else 0.0
            if gap > SHORTEST_GAP_SECONDS and time.monotonic() - self._observed_at >= OBSERVE_SECONDS:
                self._observed_at = time.monotonic()
                self._observe()
            elif gap <= SHORTEST_GAP_SECONDS or not self._write(self._fit(gap), last=False):
                self._ending.wait(LOOK_AGAIN_SECONDS)

    def _fit(self, seconds: float) -> int:
        """How many events can be written in that time, as the last ones went."""
        return max(1, int(min(MOST_AT_ONCE, seconds / self._pace)))

    def _write(self, most: int, *, last: bool) -> bool:
        """Write up to so many events; False where there were none."""
        events = self._told.due(most, last=last)
        if events:
            began = time.monotonic()
            self._store(events)
            self._pace = (time.monotonic() - began) / len(events)
        return bool(events)


def report_for(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    step: str,
    source: ImportSource,
    database: Database,
    import_id: int,
    observe: Callable[[], None],
) -> Report:
    """What a step of a run tells of its work on an import, in the source's partitions."""
    asset, in_buckets = names.enriched(source.name), source.partitions.size is not None
    partitions = names.partitions(source.name, in_buckets=in_buckets)

    tags = names.made_from(source.name, run.run_id)

    def materialization(item: StoredItem) -> dg.AssetMaterialization:
        found = metadata.of_item(item, import_id)
        return dg.AssetMaterialization(asset_key=asset, partition=item.external_id, metadata=found, tags=tags)

    by_bucket = ToldByBucket(asset, source, database, import_id, tags)
    return Report(
        by_bucket if in_buckets else ToldByItem(materialization),
        add=lambda keys: instance.add_dynamic_partitions(partitions, list(keys)),
        store=lambda events: store_materializations(instance, run, step, events),
        observe=observe,
    )
