"""Standard output that may be full, closed, or a pipe that its reader has left."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

STANDARD_OUTPUT = 1


class OutputLost(Exception):
    """Standard output takes no more: its disk is full, or it is closed."""

    def __init__(self, error: OSError) -> None:
        reason = "it is closed" if error.errno == errno.EBADF else os.strerror(error.errno or 0)
        super().__init__(f"standard output cannot be written: {reason}")


class _Raw(io.RawIOBase):
    """The file descriptor. A write that fails raises OutputLost, so that it is told from a command's other failures.

    A pipe whose reader has left takes everything: that is no error, and the command comes to its own end.
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
    """While this lasts, `sys.stdout` raises OutputLost if it cannot be written.

    Python itself raises an OSError, writes a traceback when it ends, and has no standard output at all if the shell
    closed it. A stream that a caller has put in its place stays.
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
        with suppress(OutputLost):  # the caller has flushed it: what is lost here was lost before
            guarded.detach().detach()  # the descriptor stays open


def _is_the_descriptor(stream: TextIO | None) -> bool:
    try:
        return stream is None or stream.fileno() == STANDARD_OUTPUT
    except (OSError, ValueError):  # no file, or closed
        return False
