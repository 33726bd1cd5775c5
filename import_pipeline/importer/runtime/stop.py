"""The stop signal of an import: requested once, with a reason; all its tasks react to it."""

import asyncio
from collections.abc import Callable

from import_pipeline.errors import ImportPipelineError

#: Seconds for which responses in flight are awaited after a stop request. A cancelled import must end within 2 s.
GRACE_SECONDS = 0.5


class StopSignal:
    """A stop request. The first reason wins; no new work starts afterwards.

    `cut` is called once, with the seconds for which responses in flight are still awaited.
    """

    def __init__(self, cut: Callable[[float], object]) -> None:
        self.requested = asyncio.Event()
        self.reason: ImportPipelineError | None = None
        self._cut = cut
        self._actions: list[Callable[[], object]] = []

    def on_request(self, action: Callable[[], object]) -> None:
        """Call the action when a stop is requested; immediately if it has been."""
        if self.requested.is_set():
            action()
        else:
            self._actions.append(action)

    def request(self, reason: ImportPipelineError, grace_seconds: float = GRACE_SECONDS) -> None:
        """Request the stop. Call it on the event loop."""
        if self.reason is None:
            self.reason = reason
            self.requested.set()
            for action in self._actions:
                action()
            self._cut(grace_seconds)
