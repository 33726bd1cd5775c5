"""Servers that a command starts and stops again: the demo API, Dagster's UI and daemon."""

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

#: How long a server may take to end by itself.
STOP_SECONDS = 15.0
#: How long the last lines of one that has ended are waited for.
LAST_WORDS_SECONDS = 0.5
#: Reads the leaders of process groups, one a line, until the pipe closes: whoever held its other end is gone, however
#: it went. Then it ends those groups, which nobody else would do after a `kill -9` or when a terminal is closed.
GUARD = """
while read -r leader; do leaders="$leader $leaders"; done
alive() { for each in $leaders; do kill -s 0 -- "-$each" && return; done; return 1; }
for each in $leaders; do kill -s INT -- "-$each"; done
while [ "$1" -gt 0 ] && alive; do sleep 1; set -- $(($1 - 1)); done
for each in $leaders; do kill -s KILL -- "-$each"; done
"""
#: How an exception is told that says why a run failed, and what follows it: empty lines, and its frames.
ON_PURPOSE = re.compile(rb"dagster\S*\.Failure: ")
OF_A_TRACE = re.compile(rb"\s*$|Stack Trace:|  ")


def require_free_port(port: int, setting: str, host: str = "127.0.0.1") -> None:
    """Raise UsageError where something listens already: a second server would not say so."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise UsageError(f"nothing can listen on {host}, port {port}: {error.strerror}") from error
            raise UsageError(f"port {port} is taken: stop what uses it, or set {setting} to another port") from error


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def url(host: str, port: int) -> str:
    """The address of a server; IPv6 in its brackets."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@dataclass(kw_only=True)
class Servers:
    """The servers of one command, each in a process group of its own, so that a signal reaches its workers too.

    They end with this process, even where it has no time to stop them. What they write to standard error is passed on,
    but not once they are to stop: of being interrupted Dagster's processes tell in tracebacks.
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
        self._tell_guard(process.pid)
        return process

    def ended(self) -> str | None:
        """The name of a server that has ended by itself."""
        name = next((name for name, process in self.running if process.poll() is not None), None)
        if name is not None:
            for each in self._listeners:
                each.join(LAST_WORDS_SECONDS)
        return name

    def stop(self) -> None:
        """Ask all to end, the last one first; kill what does not."""
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
        for line in without_traces_on_purpose(process.stderr):
            if not self._is_stopping:
                with suppress(OSError):  # nobody reads it any more; the server is not to wait for a reader
                    sys.stderr.buffer.write(line)
                    sys.stderr.buffer.flush()

    def _tell_guard(self, leader: int) -> None:
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


def without_traces_on_purpose(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines, without the stack traces that Dagster writes to what an import has to say of its end.

    A run can fail by an exception only, and each is told with its way through Dagster, for the step and for the run.
    """
    on_purpose = False
    for line in lines:
        if ON_PURPOSE.match(line):
            on_purpose = True
        elif on_purpose:
            if OF_A_TRACE.match(line):
                continue
            on_purpose = False
        yield line


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
