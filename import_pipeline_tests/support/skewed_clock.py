"""Processes with a wrong wall clock, which tests can set while they run.

A preloaded library of a few lines of C replaces the calls that read the clock. It is compiled here: no package on the
index does this. Without a compiler, the tests that use it fail.
"""

import mmap
import os
import shutil
import struct
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

SOURCE = Path(__file__).with_name("skew.c")


class SkewedClock:
    """A clock that is wrong by `seconds`, for processes started with its `environment`."""

    def __init__(self, folder: Path, seconds: int = 0) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            raise FileNotFoundError("a C compiler is needed to give a process a clock of its own: install gcc or clang")
        folder.mkdir(parents=True, exist_ok=True)
        self._library = folder / "skew.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", self._library, SOURCE, "-ldl"], check=True)
        self._path = folder / "skew"
        self._path.write_bytes(struct.pack("@l", seconds))

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of a process with this clock."""
        return {**os.environ, "LD_PRELOAD": str(self._library), "SKEW_FILE": str(self._path)}

    def __enter__(self) -> Self:
        self._file = self._path.open("r+b")
        self._shared = mmap.mmap(self._file.fileno(), struct.calcsize("@l"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shared.close()
        self._file.close()

    def set(self, seconds: int) -> None:
        """Change the error of the clock."""
        self._shared[:] = struct.pack("@l", seconds)
