"""Track the hooks running in the main thread, so that a signal can end one that does not return."""

import os
import threading
import time


class HookInterrupted(BaseException):
    """The process was signalled to end while a hook holds the event loop. Hooks should not catch it."""


class _RunningHooks:
    """The hooks running in the main thread, the only one where a signal can end a hook. Each runs in a `with` block."""

    def __init__(self) -> None:
        self._began: list[float] = []
        self.find_main()

    def find_main(self) -> None:
        """Find the main thread: after a fork it is the one that forked."""
        self._main = threading.main_thread().ident

    def __enter__(self) -> None:
        if threading.get_ident() == self._main:
            self._began.append(time.monotonic())

    def __exit__(self, *_: object) -> None:
        if threading.get_ident() == self._main:
            self._began.pop()

    def seconds(self) -> float:
        """Return the seconds that the outermost hook has run; 0 if none runs."""
        return time.monotonic() - self._began[0] if self._began else 0.0


RUNNING_HOOKS = _RunningHooks()
os.register_at_fork(after_in_child=RUNNING_HOOKS.find_main)
