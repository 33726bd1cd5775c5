"""Requests that this process sent and no transaction has counted yet. The next write counts them."""

import threading
from functools import partial

from sqlalchemy import Connection

from import_pipeline.importer.runtime.api_client import RequestTally
from import_pipeline.tracking.counters import CounterDelta
from import_pipeline.tracking.database.engine import when_rolled_back


class PendingCounts:
    """The requests of a tally that are not counted yet. The writer and the heartbeat drain them; thread-safe."""

    def __init__(self, tally: RequestTally) -> None:
        self._tally = tally
        self._requests = self._hits = 0  #: drained so far
        self._lock = threading.Lock()

    def drain(self, connection: Connection) -> CounterDelta:
        """Drain the counts into this transaction; a rollback puts them back."""
        with self._lock:
            sent = CounterDelta(requests=self._tally.requests - self._requests, hits=self._tally.hits - self._hits)
            self._requests += sent.requests
            self._hits += sent.hits
        when_rolled_back(connection, partial(self._put_back, sent))
        return sent

    def _put_back(self, sent: CounterDelta) -> None:
        with self._lock:
            self._requests -= sent.requests
            self._hits -= sent.hits
