"""Statistics of the server: counters, and a log of the admitted requests.

Requests to `/health`, `/_stats`, `/_log` and `/_reset` are not counted.
"""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

LOG_LENGTH = 1_000_000  # about 150 MB; older requests are dropped
DETAIL_PREFIX = "/api/items/"


@dataclass(kw_only=True, slots=True)
class RequestRecord:
    """One request. `arrived` is None until it is admitted, `status` until a response begins."""

    path: str
    arrived: float | None = None
    status: int | None = None


class Stats:
    """Counters since the start or the last reset. Times are seconds on the server's monotonic clock."""

    def __init__(self) -> None:
        self._in_flight = 0
        self.forget()

    def forget(self) -> None:
        """Reset the counters; requests in flight stay in flight."""
        self._requests = 0
        self._admitted = 0
        self._unanswered = 0
        self._peak = self._in_flight
        self._statuses: Counter[int] = Counter()
        self._details: Counter[str] = Counter()
        self._log: deque[RequestRecord] = deque(maxlen=LOG_LENGTH)
        self._first: float | None = None
        self._last: float | None = None

    def begin(self, path: str) -> RequestRecord:
        """Count a new request."""
        self._requests += 1
        self._in_flight += 1
        self._peak = max(self._peak, self._in_flight)
        return RequestRecord(path=path)

    def admit(self, record: RequestRecord, now: float) -> None:
        """Count a request that the limits admitted."""
        record.arrived = now
        self._admitted += 1
        self._first = now if self._first is None else self._first
        self._last = now
        self._log.append(record)
        if record.path.startswith(DETAIL_PREFIX):
            self._details[record.path.removeprefix(DETAIL_PREFIX)] += 1

    def answer(self, record: RequestRecord, status: int) -> None:
        """Count the start of its response."""
        record.status = status
        self._statuses[status] += 1

    def end(self, record: RequestRecord) -> None:
        """Count its end, with or without a response."""
        self._in_flight -= 1
        self._unanswered += record.status is None

    def summary(self) -> dict[str, Any]:
        """Return the body of `GET /_stats`."""
        details = self._details.total()
        return {
            "requests": self._requests,
            "admitted": self._admitted,
            "details": details,
            "by_status": {str(status): self._statuses[status] for status in sorted(self._statuses)},
            "rate_limited": self._statuses[429],
            "unanswered": self._unanswered,
            "first_admitted": self._first,
            "last_admitted": self._last,
            "repeated_details": {number: times for number, times in self._details.items() if times > 1},
            "in_flight": self._in_flight,
            "peak_concurrency": self._peak,
        }

    def log(self) -> list[tuple[float | None, str, int | None]]:
        """Return the body of `GET /_log`: [seconds, path, status] of every admitted request, oldest first."""
        return [(record.arrived, record.path, record.status) for record in self._log]
