"""A server as a child process of a test: on a free port, data in a temporary folder. It ends with its test process."""

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
    """A server's program is not installed. Tests fail with this error instead of skipping."""


class ServerDied(Exception):
    """A server did not start; the text ends with its output."""


def package(name: str, distribution: str) -> Path:
    """Return the folder of an installed package, without importing it. Raises ServerMissing."""
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise ServerMissing(
            f"these tests need a real server: install {distribution} (`make install`, or pip install {distribution})"
        )
    return Path(found.origin).parent


def program(folder: Path, pattern: str, distribution: str) -> Path:
    """Return the program at that path of the folder. Raises ServerMissing."""
    for path in sorted(folder.glob(pattern)):
        if os.access(path, os.X_OK):
            return path
    raise ServerMissing(f"{distribution} has no program {pattern} for this platform: reinstall {distribution}")


def open_to_all(path: Path) -> bool:
    """Return True if every user may enter the folder."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def _temporary_folder() -> Path:
    """Make a folder that an unprivileged server can reach."""
    places = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]
    place = next((place for place in places if place.is_dir() and open_to_all(place)), places[0])
    return Path(tempfile.mkdtemp(prefix="import_pipeline_tests_", dir=place)).resolve()


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
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
        """True while the process lives."""
        return self._process is not None and self._process.poll() is None

    @abstractmethod
    def prepare(self) -> None:
        """Find the program, and create the files that the first start needs."""

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments."""

    @abstractmethod
    def answers(self) -> bool:
        """Return True once it serves."""

    def start(self) -> None:
        """Start it and wait until it answers. After `stop` or `kill`: on the same port, with the same data."""
        for tries_left in reversed(range(START_TRIES)):
            try:
                self._start_once()
            except ServerDied:
                # Another process took the port meanwhile, or a killed server's children still run.
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
        self._inform_watcher(str(self._process.pid))
        self._wait(self.answers, log)

    def stop(self) -> None:
        """Shut it down in order: data is kept, clients lose their connections."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(self.crash)

    def remove(self) -> None:
        """Stop it and delete its data."""
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
            self._inform_watcher("")

    def _identity(self) -> dict[str, Any]:
        """Return Popen's arguments for the user and the environment that the server runs with."""
        return {}

    def _inform_watcher(self, line: str) -> None:
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
