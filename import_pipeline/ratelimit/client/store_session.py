"""The session of one limiter with its permit store: exchanges, names of permits, and the thread for blocking stores."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from import_pipeline.errors import LimiterUnavailable
from import_pipeline.ratelimit.protocol import (
    SECOND,
    ExchangeReply,
    ExchangeRequest,
    PermitStore,
    StoreError,
    name_of_lane,
    windows_of,
)
from import_pipeline.ratelimit.tiers import Tiers

LOOK_AHEAD = 0.03  #: seconds; permits that come free within this are granted with the moment of their start


@dataclass(slots=True)
class StoreSession:
    """The session of one API's limiter, or of a lane of it.

    `source`: whose configured limits the tiers are; empty if they belong to no source.
    """

    api: str
    tiers: Tiers
    permits: PermitStore
    lane: str = ""
    source: str = ""
    exchanges: int = 0
    losses: int = 0  #: how often the store had lost data that this process knows
    _process: str = field(default_factory=lambda: os.urandom(6).hex())
    _names: int = 0
    _thread: ThreadPoolExecutor | None = None

    def next_name(self) -> str:
        """Return a name for a permit; it is unique among all processes."""
        self._names += 1
        return f"{self._process}{self._names:x}"

    def new_request(self, *, count_units: bool = False) -> ExchangeRequest:
        """Return an exchange request that reports nothing and wants no permit."""
        return ExchangeRequest(
            api=name_of_lane(self.api, self.lane),
            process=self._process,
            tiers=windows_of(self.tiers),
            concurrent=self.tiers.concurrent,
            look_ahead=int(LOOK_AHEAD * SECOND),
            count_units=count_units,
            source=self.source,
        )

    async def exchange(self, request: ExchangeRequest) -> ExchangeReply:
        """Execute one exchange, in the session's thread if the store blocks. Raises StoreError."""
        self.exchanges += 1
        if self.permits.blocks:
            self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix=f"limits-{self.api}")
            reply = await asyncio.get_running_loop().run_in_executor(self._thread, self.permits.exchange, request)
        else:
            reply = self.permits.exchange(request)
        self.source = ""  # sent once: a process with other limits may have started since
        self.losses += reply.lost
        return reply

    def unavailable(self, error: StoreError) -> LimiterUnavailable:
        """Return the error for callers after the store did not answer."""
        sentence = f"the rate-limit store of {self.api} does not answer, so nothing is sent: {error}"
        return LimiterUnavailable(sentence, said=str(error), may_pass=error.may_pass)

    def release(self) -> None:
        """End the thread and close the store's connection."""
        if self._thread is not None:
            self._thread.submit(self.permits.close)
            self._thread.shutdown(wait=True)
            self._thread = None
