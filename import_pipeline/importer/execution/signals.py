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


def endings() -> list[signal.Signals]:
    """The signals by which a process is told to end; a closed terminal's only where nothing ignores it."""
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    heard = [] if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN else [hangup]
    return [signal.SIGINT, signal.SIGTERM, *heard]


@contextmanager
def handle_signals(
    loop: asyncio.AbstractEventLoop, interrupt: Callable[[], None], hook_seconds: float = HOOK_SECONDS
) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP interrupt, as long as this lasts and where this is the main thread.

    SIGHUP is what a closed terminal sends; it stays ignored where it is, as under `nohup`.

    Dagster's own handlers raise inside whatever runs, which asyncio may swallow; so they are put back afterwards only.
    The event loop calls `interrupt`. A hook that has held the loop for `hook_seconds` is ended by HookInterrupted.
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
        """Signal again from time to time, for a hook that had just begun: its handler runs only then."""
        while not over.wait(hook_seconds):
            signal.pthread_kill(threading.main_thread().ident or 0, number)

    before = {number: signal.getsignal(number) for number in endings()}
    for number in before:
        loop.add_signal_handler(number, lambda: None)  # so that a signal wakes the loop
        signal.signal(number, hear)
    try:
        yield
    finally:
        over.set()
        for thread in reminders:
            thread.join()  # its last signal would else meet the handler from before, which may end the process
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def end_of(group: BaseExceptionGroup[BaseException], asked: ImportPipelineError | None) -> BaseException:
    """The error that the work ends with: the reason that it was asked to stop for, if that has interrupted a hook."""
    error = first_own_error(group)
    return asked if asked is not None and isinstance(error, HookInterrupted) else error


def first_own_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of ours in a group, else the first of all."""
    leaves = [first_own_error(error) if isinstance(error, BaseExceptionGroup) else error for error in group.exceptions]
    return next((error for error in leaves if isinstance(error, ImportPipelineError)), leaves[0])
