"""Dagster's report of an import: partitions page by page, a materialization per item, in the gaps of the limiter.

The tracking tables are the truth. The report costs 10 to 20 ms of CPU per item, so it never runs while permits are
free: a limited import pays nothing for it, an unlimited one is over before the rest of it is written.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence

import dagster as dg

from import_pipeline.importer.api import Api

#: A gap shorter than this is not worth an event.
SHORTEST_GAP_SECONDS = 0.06
#: How long the reporter looks away while there is no gap.
LOOK_AGAIN_SECONDS = 0.05


class Report:
    """A listener that passes on to Dagster what the ledger has stored. `finish()` writes what is left."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        partitions: str,
        materialization: Callable[[str], dg.AssetMaterialization],
    ) -> None:
        self._context = context
        self._partitions = partitions
        self._materialization = materialization
        self._api: Api | None = None
        self._waiting: deque[str] = deque()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dagster-report", daemon=True)

    def start(self) -> None:
        """Begin to report while the import goes on; from here on `finish()` or `stop()` must be called."""
        self._thread.start()

    def opened(self, api: Api) -> None:
        """The API whose limiter tells where the gaps are."""
        self._api = api

    def page_stored(self, external_ids: Sequence[str]) -> None:
        """Add the items' partitions."""
        self._context.instance.add_dynamic_partitions(self._partitions, list(external_ids))

    def items_stored(self, external_ids: Sequence[str]) -> None:
        """Report the items when there is time."""
        self._waiting.extend(external_ids)

    def stop(self) -> None:
        """Stop reporting; what is left is left to `finish()`."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def finish(self) -> None:
        """Report all that is left, on the caller's time. Afterwards the op may yield."""
        self.stop()
        while self._waiting:
            self._report_one()

    def _run(self) -> None:
        while not self._ending.is_set():
            if self._waiting and self._api and self._api.limiter.blocked_for() > SHORTEST_GAP_SECONDS:
                self._report_one()
            else:
                self._ending.wait(LOOK_AGAIN_SECONDS)

    def _report_one(self) -> None:
        self._context.log_event(self._materialization(self._waiting.popleft()))
