"""The hooks that run in the main thread now, so that a signal can end one that does not return."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class HookInterrupted(BaseException):
    """The process is told to end, and a hook of the source holds the event loop. No hook should catch it."""


class _RunningHooks:
    """The hooks that run in the main thread now; only there can a signal end one."""

    def __init__(self) -> None:
        self._began: list[float] = []

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """While this lasts, a hook runs."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._began.append(time.monotonic())
        try:
            yield
        finally:
            self._began.pop()

    def seconds(self) -> float:
        """How long the outermost of them has run; 0 if none runs."""
        return time.monotonic() - self._began[0] if self._began else 0.0


RUNNING_HOOKS = _RunningHooks()
