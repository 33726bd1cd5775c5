"""How a process is told to end, and which error of several it ends with."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from import_pipeline.errors import ImportPipelineError


def endings() -> list[signal.Signals]:
    """The signals by which a process is told to end; a closed terminal's only where nothing ignores it."""
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    heard = [] if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN else [hangup]
    return [signal.SIGINT, signal.SIGTERM, *heard]


@contextmanager
def signals(loop: asyncio.AbstractEventLoop, interrupt: Callable[[], None]) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP interrupt, as long as this lasts and where this is the main thread.

    SIGHUP is what a closed terminal sends; it stays ignored where it is, as under `nohup`.

    Dagster's own handlers raise inside whatever runs, which asyncio may swallow; so they are put back afterwards only.
    """
    if threading.current_thread() is not threading.main_thread() or os.name == "nt":
        yield
        return
    before = {number: signal.getsignal(number) for number in endings()}
    for number in before:
        loop.add_signal_handler(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of ours in a group, else the first of all."""
    leaves = [leaf(error) if isinstance(error, BaseExceptionGroup) else error for error in group.exceptions]
    return next((error for error in leaves if isinstance(error, ImportPipelineError)), leaves[0])
