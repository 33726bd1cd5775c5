"""Commands in processes of their own, forked from a process that has loaded their modules.

Loading the modules takes longer than most commands run. For a test nothing differs: arguments, environment, folder,
terminal, signals, exit status. Tests of `up`, the demo and the wheel start the installed scripts.
"""

import gc
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing import forkserver
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

from import_pipeline_tests.support.parallel import PRELOAD

ADDRESS = re.compile(r"http://\S+")
#: Longest time from SIGTERM to the end of a server.
FAREWELL_SECONDS = 20


def start_forkserver() -> multiprocessing.context.ForkServerContext:
    """Start the process that loads the modules, unless it runs; it keeps the current environment."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    forkserver.ensure_running()
    return context


class ForkedCommand:
    """Runs `main()` of a module in a session of its own. It has the part of Popen's interface that tests use.

    Output goes to files, which never block the command; or all three streams go to a terminal.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        terminal: int | None = None,
    ) -> None:
        context = start_forkserver()
        self._said = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115 - until it has ended
        self.args = [module, *arguments]
        with open(os.devnull, "rb") as nothing:
            streams = [nothing.fileno(), *(said.fileno() for said in self._said)]
            self._process = _Fork(
                context, streams if terminal is None else [terminal] * 3, str(folder or Path.cwd()), self.args
            )
            self._process.environment = dict(os.environ if environment is None else environment)
            self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> int:
        """Wait and return the exit status; for a signal it is negative."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end; return both outputs. Can be called once."""
        self.wait(timeout)
        out, err = self.said(1), self.said(2)
        for said in self._said:
            said.close()
        return out, err

    def said(self, stream: int) -> str:
        """Return the output on that stream until now."""
        file = self._said[stream - 1].fileno()
        # pread: the writer shares the position of the file.
        return os.pread(file, os.fstat(file).st_size, 0).decode()


class _Fork(multiprocessing.context.ForkServerProcess):
    """The forked process; streams, folder and environment are passed to it when it starts."""

    environment: Mapping[str, str]

    def __init__(self, context: Any, streams: Sequence[int], folder: str, command: Sequence[str]) -> None:
        super().__init__()
        self._streams, self._folder, self._command = streams, folder, command

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_streams": [DupFd(stream) for stream in self._streams]}

    def run(self) -> None:
        gc.freeze()  # the loaded modules stay; walking through them takes longer than some commands
        os.setsid()
        for number, stream in enumerate(self._streams):
            copy = stream.detach()
            os.dup2(copy, number)
            os.close(copy)
        sys.stdin, sys.stdout, sys.stderr = (
            open(number, "r" if number == 0 else "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
            for number in range(3)
        )
        os.chdir(self._folder)
        os.environ.clear()
        os.environ.update(self.environment)
        time.tzset()
        module, *arguments = self._command
        sys.argv = [module, *arguments]
        sys.path[:] = [path for path in sys.path if path]
        import_module(module).main()


@contextmanager
def serve(*options: str) -> Iterator[str]:
    """Serve `python -m source_api` with these options on a free port; yield its address."""
    server = ForkedCommand("source_api.__main__", ["--port", "0", *options])
    try:
        deadline = time.monotonic() + FAREWELL_SECONDS
        while (found := ADDRESS.search(server.said(1))) is None:
            assert server.poll() is None, server.said(2)
            assert time.monotonic() < deadline, "no word from it"
            time.sleep(0.005)
        yield found[0]
    finally:
        server.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.wait(FAREWELL_SECONDS)
        server.send_signal(signal.SIGKILL)
        server.communicate()
