"""Handle SIGINT, SIGTERM and SIGHUP while an import runs, and pick the error that it ends with."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from import_pipeline.errors import ImportPipelineError
from import_pipeline.importer.user_code.running_hooks import RUNNING_HOOKS, HookInterrupted

#: Seconds between a signal and the end of a hook that does not return, and between two tries to end it.
HOOK_SECONDS = 0.5


def stop_signals() -> list[signal.Signals]:
    """Return the signals that end a process; SIGHUP (a closed terminal) only if it is not ignored."""
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    heard = [] if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN else [hangup]
    return [signal.SIGINT, signal.SIGTERM, *heard]


@contextmanager
def handle_signals(
    loop: asyncio.AbstractEventLoop, interrupt: Callable[[], None], hook_seconds: float = HOOK_SECONDS
) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP call `interrupt` on the event loop during the block; in the main thread only.

    SIGHUP, which a closed terminal sends, stays ignored if it is, as under `nohup`. Dagster's own handlers raise inside
    any code that runs, which asyncio may swallow; they are restored afterwards. A hook that has held the loop for
    `hook_seconds` is ended by HookInterrupted.
    """
    if threading.current_thread() is not threading.main_thread() or os.name == "nt":
        yield
        return
    heard, over = threading.Event(), threading.Event()
    reminders: list[threading.Thread] = []

    def hear(number: int, frame: FrameType | None) -> None:
        if not heard.is_set():
            heard.set()
            loop.call_soon_threadsafe(interrupt)
            reminders.append(threading.Thread(target=remind, args=(number,), name="import-interrupt", daemon=True))
            reminders[0].start()
        if RUNNING_HOOKS.seconds() >= hook_seconds:
            raise HookInterrupted

    def remind(number: int) -> None:
        """Repeat the signal, so that a hook that started just after it is ended too."""
        while not over.wait(hook_seconds):
            signal.pthread_kill(threading.main_thread().ident or 0, number)

    with _handlers(loop, hear):
        try:
            yield
        finally:
            over.set()
            for thread in reminders:
                thread.join()  # else its last signal may reach the restored handler, which may end the process


@contextmanager
def _handlers(loop: asyncio.AbstractEventLoop, handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Install the handler for all stop signals during the block, then restore the former ones."""
    before = {number: signal.getsignal(number) for number in stop_signals()}
    for number in before:
        loop.add_signal_handler(number, lambda: None)  # a signal wakes the loop
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def end_of(group: BaseExceptionGroup[BaseException], requested: ImportPipelineError | None) -> BaseException:
    """Return the error that the work ends with: the reason of the stop if that interrupted a hook."""
    error = first_own_error(group)
    return requested if requested is not None and isinstance(error, HookInterrupted) else error


def first_own_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of this package in a group, else the first one."""
    leaves = [first_own_error(error) if isinstance(error, BaseExceptionGroup) else error for error in group.exceptions]
    return next((error for error in leaves if isinstance(error, ImportPipelineError)), leaves[0])
