"""A standard output that may be full, closed, or a pipe without a reader."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

STANDARD_OUTPUT = 1


class OutputLost(Exception):
    """Standard output cannot be written: its disk is full, or it is closed."""

    def __init__(self, error: OSError) -> None:
        reason = "it is closed" if error.errno == errno.EBADF else os.strerror(error.errno or 0)
        super().__init__(f"standard output cannot be written: {reason}")


class _Raw(io.RawIOBase):
    """The file descriptor. A failed write raises OutputLost, which a command's other failures are not.

    A pipe without a reader accepts everything: that is no error, and the command runs to its end.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        try:
            return os.isatty(self._descriptor)
        except OSError:
            return False

    def write(self, data: Any) -> int:
        try:
            return os.write(self._descriptor, data)
        except BrokenPipeError:
            return len(data)
        except OSError as error:
            raise OutputLost(error) from error


@contextmanager
def guarded_output() -> Iterator[None]:
    """Let `sys.stdout` raise OutputLost if it cannot be written, for the duration of the context.

    Python itself raises an OSError, prints a traceback at exit, and has no standard output if the shell closed it.
    A stream that a caller put in its place stays.
    """
    usual = sys.stdout
    if not _is_the_descriptor(usual):
        yield
        return
    encoding, errors = getattr(usual, "encoding", "utf-8"), getattr(usual, "errors", "backslashreplace")
    raw = _Raw(STANDARD_OUTPUT)
    guarded = io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=raw.isatty())
    sys.stdout = guarded
    try:
        yield
    finally:
        sys.stdout = usual
        with suppress(OutputLost):  # the caller has flushed it, so nothing is lost here
            guarded.detach().detach()  # the descriptor stays open


def _is_the_descriptor(stream: TextIO | None) -> bool:
    try:
        return stream is None or stream.fileno() == STANDARD_OUTPUT
    except (OSError, ValueError):  # no file, or closed
        return False
