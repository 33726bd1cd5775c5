"""Ctrl-C during imports of the command line: nothing is open yet, so the process exits immediately.

A KeyboardInterrupt would surface inside the module that is being imported.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130


@contextmanager
def ending_at_interrupts() -> Iterator[None]:
    """Exit at an interrupt with one sentence during the context, unless the shell ignores interrupts."""
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
