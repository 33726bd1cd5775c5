"""Servers that a command starts and stops: the demo API, Dagster's UI and daemon, the panel."""

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from import_pipeline.errors import UsageError

STOP_SECONDS = 15.0  #: for a server to end after an interrupt
LAST_LINES_SECONDS = 0.5  #: to read the last lines of a server that ended
#: Reads the leaders of process groups, one a line, until the pipe closes: then this process has ended, in any way.
#: Ends those groups, since nothing else would after a `kill -9` or a closed terminal.
GUARD = """
while read -r leader; do leaders="$leader $leaders"; done
alive() { for each in $leaders; do kill -s 0 -- "-$each" && return; done; return 1; }
for each in $leaders; do kill -s INT -- "-$each"; done
while [ "$1" -gt 0 ] && alive; do sleep 1; set -- $(($1 - 1)); done
for each in $leaders; do kill -s KILL -- "-$each"; done
"""
#: The first line of an exception that reports a failed run, and the lines that follow it: blank lines and frames.
EXPECTED_FAILURE = re.compile(rb"dagster\S*\.Failure: ")
TRACE_LINE = re.compile(rb"\s*$|Stack Trace:|  ")


def require_free_port(port: int, setting: str, host: str = "127.0.0.1") -> None:
    """Raise UsageError if something listens already: a second server would not report it."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise UsageError(f"cannot listen on {host}, port {port}: {error.strerror}") from error
            raise UsageError(
                f"port {port} is in use: stop the program there, or set {setting} to another port"
            ) from error


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Return True if something accepts connections there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def url(host: str, port: int) -> str:
    """Return the address of a server, with an IPv6 host in brackets."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@dataclass(kw_only=True)
class Servers:
    """The servers of one command. Each has its own process group, so that a signal reaches its workers too.

    They end with this process, even if it is killed. Their standard error is passed on until they are stopped:
    Dagster's processes print tracebacks when interrupted.
    """

    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    running: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)
    _guard: subprocess.Popen[bytes] | None = None
    _listeners: list[threading.Thread] = field(default_factory=list)
    _is_stopping: bool = False

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `python -m …`."""
        process = subprocess.Popen(  # noqa: S603 (our own interpreter and fixed arguments)
            [sys.executable, "-m", *arguments],
            env=dict(self.environment),
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.running.append((name, process))
        self._listeners.append(threading.Thread(target=self._pass_on, args=(process,), daemon=True))
        self._listeners[-1].start()
        self._register_with_guard(process.pid)
        return process

    def ended(self) -> str | None:
        """Return the name of a server that ended by itself, or None."""
        name = next((name for name, process in self.running if process.poll() is not None), None)
        if name is not None:
            for each in self._listeners:
                each.join(LAST_LINES_SECONDS)
        return name

    def stop(self) -> None:
        """Interrupt all, the last one first, and kill those that do not end."""
        self._is_stopping = True
        for _, process in reversed(self.running):
            _signal(process, signal.SIGINT)
        for _, process in self.running:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                _signal(process, signal.SIGKILL)
                process.wait()
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None

    def _pass_on(self, process: subprocess.Popen[bytes]) -> None:
        if process.stderr is None:
            return
        for line in without_expected_traces(process.stderr):
            if not self._is_stopping:
                with suppress(OSError):  # the reader has left; the server must not wait for one
                    sys.stderr.buffer.write(line)
                    sys.stderr.buffer.flush()

    def _register_with_guard(self, leader: int) -> None:
        self._guard = self._guard or subprocess.Popen(  # noqa: S603 (our own script)
            ["/bin/sh", "-c", GUARD, "guard", f"{STOP_SECONDS:.0f}"],
            env=dict(self.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if self._guard.stdin is not None:
            self._guard.stdin.write(f"{leader}\n".encode())
            self._guard.stdin.flush()


def without_expected_traces(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines without the stack traces that Dagster adds to the reason why an import ended.

    A run can fail only by an exception, and Dagster prints its trace for the step and for the run.
    """
    is_expected = False
    for line in lines:
        if EXPECTED_FAILURE.match(line):
            is_expected = True
        elif is_expected:
            if TRACE_LINE.match(line):
                continue
            is_expected = False
        yield line


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
