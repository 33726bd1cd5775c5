"""Processes whose wall clock is wrong, and can be set while they run: hosts of their own as far as time goes.

A few lines of C stand between the process and the system's clock. They are compiled here, since nothing that could be
installed from the same place as all else does this; without a compiler the tests that need them fail.
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
    """A clock that is wrong by `seconds`, for every process that is started with its `environment`."""

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
        """What a process with this clock is started with."""
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
        """From now on it is wrong by that much."""
        self._shared[:] = struct.pack("@l", seconds)
