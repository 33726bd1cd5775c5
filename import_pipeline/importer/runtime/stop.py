"""The stop signal of an import: requested once, with a reason, and heard by everything that runs."""

import asyncio
from collections.abc import Callable

from import_pipeline.errors import ImportPipelineError

#: How long answers in flight are waited for when the work is to end; a wish to cancel is to end it within 2 s.
GRACE_SECONDS = 0.5


class StopSignal:
    """The wish that the work ends: the first reason counts. Nothing new is begun after it.

    `cut` is called once, with the seconds that answers in flight are still waited for.
    """

    def __init__(self, cut: Callable[[float], object]) -> None:
        self.requested = asyncio.Event()
        self.reason: ImportPipelineError | None = None
        self._cut = cut
        self._actions: list[Callable[[], object]] = []

    def on_request(self, action: Callable[[], object]) -> None:
        """Call that as soon as it is asked for; now, where it has been."""
        if self.requested.is_set():
            action()
        else:
            self._actions.append(action)

    def request(self, reason: ImportPipelineError, grace_seconds: float = GRACE_SECONDS) -> None:
        """Ask for it, on the event loop."""
        if self.reason is None:
            self.reason = reason
            self.requested.set()
            for action in self._actions:
                action()
            self._cut(grace_seconds)
