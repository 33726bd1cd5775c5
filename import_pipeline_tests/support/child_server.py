"""A server of a test: a process on a free port, its data in a temporary folder, that ends with its test process."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

START_SECONDS = 30.0
START_TRIES = 10
STOP_SECONDS = 20.0
REMOVE_SECONDS = 60.0

# Reads the server's process ids, one a line (an empty one after a stop), until the pipe closes.
WATCHER = 'while read -r pid; do last=$pid; done; [ -n "$last" ] && kill -s "$1" "$last" && sleep 0.2; rm -rf "$2"'


class ServerMissing(Exception):
    """A server's program is not installed; tests fail with it instead of skipping."""


class ServerDied(Exception):
    """A server did not start; the text ends with what it said."""


def package(name: str, distribution: str) -> Path:
    """The folder of an installed package, not imported; raises ServerMissing."""
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise ServerMissing(
            f"these tests need a real server: install {distribution} (`make install`, or pip install {distribution})"
        )
    return Path(found.origin).parent


def program(folder: Path, pattern: str, distribution: str) -> Path:
    """The program at that place in the folder; raises ServerMissing."""
    for path in sorted(folder.glob(pattern)):
        if os.access(path, os.X_OK):
            return path
    raise ServerMissing(f"{distribution} has no program {pattern} for this platform: reinstall {distribution}")


def open_to_all(path: Path) -> bool:
    """Whether every user may enter the folder."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def _temporary_folder() -> Path:
    """A new folder at a place that an unprivileged server can reach."""
    places = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]
    place = next((place for place in places if place.is_dir() and open_to_all(place)), places[0])
    return Path(tempfile.mkdtemp(prefix="import_pipeline_tests_", dir=place)).resolve()


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server(ABC):
    """A process that listens on `port`. Use it as a context manager, or call `start()` and in the end `remove()`."""

    crash: ClassVar[signal.Signals] = signal.SIGKILL  #: ends the server and its children at once, saving nothing

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = _temporary_folder()
        self._process: subprocess.Popen[bytes] | None = None
        self._has_served = False
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", WATCHER, "watcher", self.crash.name[3:], str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def pid(self) -> int:
        """The running server's process id."""
        assert self._process is not None, "the server does not run"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @abstractmethod
    def prepare(self) -> None:
        """Find the program, and make what must be there before the first start."""

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it serves already."""

    def start(self) -> None:
        """Start it and wait until it answers; again on the same port with the same data after `stop` or `kill`."""
        for tries_left in reversed(range(START_TRIES)):
            try:
                self._start_once()
            except ServerDied:
                # Somebody took the port since it was found free, or a killed server's children are not gone yet.
                if not tries_left:
                    raise
                time.sleep(0.2)
                self.port = self.port if self._has_served else free_port()
            else:
                self._has_served = True
                return

    def _start_once(self) -> None:
        log = self.folder / "server.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                start_new_session=True,
                **self._identity(),
            )
        self._tell_watcher(str(self._process.pid))
        self._wait(self.answers, log)

    def stop(self) -> None:
        """End it in order: what was written is kept, clients lose their connections."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(self.crash)

    def remove(self) -> None:
        """End it for good and remove its data."""
        self.kill()
        assert self._watcher.stdin is not None
        self._watcher.stdin.close()
        self._watcher.wait(REMOVE_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:  # a test may have stopped it with SIGSTOP
                self._process.kill()
                self._process.wait(STOP_SECONDS)
            self._process = None
            self._tell_watcher("")

    def _identity(self) -> dict[str, Any]:
        """Popen's arguments for the user that the server runs as, whoever runs the tests, and its environment."""
        return {}

    def _tell_watcher(self, line: str) -> None:
        assert self._watcher.stdin is not None
        self._watcher.stdin.write(f"{line}\n".encode())
        self._watcher.stdin.flush()

    def _wait(self, ready: Callable[[], bool], log: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if not self.is_running or time.monotonic() > deadline:
                self.kill()
                raise ServerDied(f"{type(self).__name__} does not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)
