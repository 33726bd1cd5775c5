"""Servers that a command starts and stops again: the demo API, Dagster's UI and daemon."""

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from import_pipeline.errors import UsageError

#: How long a server may take to end by itself.
STOP_SECONDS = 15.0


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
    """The servers of one command, each in a process group of its own, so that a signal reaches its workers too."""

    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    running: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `python -m …`."""
        process = subprocess.Popen(  # noqa: S603 (our own interpreter and fixed arguments)
            [sys.executable, "-m", *arguments], env=dict(self.environment), start_new_session=True
        )
        self.running.append((name, process))
        return process

    def ended(self) -> str | None:
        """The name of a server that has ended by itself."""
        return next((name for name, process in self.running if process.poll() is not None), None)

    def stop(self) -> None:
        """Ask all to end, the last one first; kill what does not."""
        for _, process in reversed(self.running):
            _signal(process, signal.SIGINT)
        for _, process in self.running:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                _signal(process, signal.SIGKILL)
                process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
