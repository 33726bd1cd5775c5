"""Ctrl-C while the command line loads its modules: nothing is open yet, so the process ends at once.

An exception would come out of whatever module is being loaded.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130


@contextmanager
def ending_at_interrupts() -> Iterator[None]:
    """While this lasts, an interrupt ends the process with one sentence, unless a shell has let it be ignored."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, b"import-pipeline: interrupted\n")
    os._exit(INTERRUPTED)
