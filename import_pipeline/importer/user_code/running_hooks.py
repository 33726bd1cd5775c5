"""Track the hooks running in the main thread, so that a signal can end one that does not return."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class HookInterrupted(BaseException):
    """The process was signalled to end while a hook holds the event loop. Hooks should not catch it."""


class _RunningHooks:
    """The hooks running in the main thread, the only one where a signal can end a hook."""

    def __init__(self) -> None:
        self._began: list[float] = []

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Count a running hook during the block."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._began.append(time.monotonic())
        try:
            yield
        finally:
            self._began.pop()

    def seconds(self) -> float:
        """Return the seconds that the outermost hook has run; 0 if none runs."""
        return time.monotonic() - self._began[0] if self._began else 0.0


RUNNING_HOOKS = _RunningHooks()
