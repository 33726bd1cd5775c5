"""What this process has sent and no transaction has counted yet: whoever writes next counts it along."""

import threading
from functools import partial

from sqlalchemy import Connection

from import_pipeline.importer.runtime.api_client import RequestTally
from import_pipeline.tracking.database.engine import when_rolled_back
from import_pipeline.tracking.request_counters import Sent


class PendingCounts:
    """The requests of a tally, each of which is given out once. The writer takes from it, and so does the heartbeat."""

    def __init__(self, tally: RequestTally) -> None:
        self._tally = tally
        self._requests = self._hits = 0  #: taken so far
        self._lock = threading.Lock()

    def drain(self, connection: Connection) -> Sent:
        """All that there is, for that transaction to count; it is here again where that is rolled back."""
        with self._lock:
            sent = Sent(requests=self._tally.requests - self._requests, hits=self._tally.hits - self._hits)
            self._requests += sent.requests
            self._hits += sent.hits
        when_rolled_back(connection, partial(self._put_back, sent))
        return sent

    def _put_back(self, sent: Sent) -> None:
        with self._lock:
            self._requests -= sent.requests
            self._hits -= sent.hits
