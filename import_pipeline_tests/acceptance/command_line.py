"""Running commands as a user does, and reading what they leave behind."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine, NullPool, create_engine, text

from import_pipeline_tests.support import http
from import_pipeline_tests.support.forked_cli import ForkedCommand

#: Longer than anything here may take on a busy machine.
PATIENCE_SECONDS = 60.0
BIN = Path(sys.executable).parent
#: Programs to give to a CommandLine, as they are installed.
DAGSTER = (str(BIN / "dagster"),)
SCRIPT = (str(BIN / "import-pipeline"),)
OURS = "import_pipeline.cli"


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """What a command said, and how it ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The last line of the output."""
        return json.loads(self.out.splitlines()[-1])

    @property
    def sentence(self) -> str:
        """The one sentence on standard error; fails where there is more or less."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("import-pipeline: "), self.err
        return lines[0].removeprefix("import-pipeline: ")


class RunningCommand:
    """A command that still runs, in a process group of its own."""

    def __init__(self, process: subprocess.Popen[str] | ForkedCommand) -> None:
        self.process = process
        self._is_over = False

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its whole group, as a terminal does."""
        os.killpg(self.process.pid, number)

    def end(self) -> CommandResult:
        """Wait for it, and see what it said."""
        out, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        self._is_over = True
        return CommandResult(status=self.process.returncode, out=out, err=err)

    def kill(self) -> None:
        """End it and its group if need be, and close what it wrote to, whatever a failed test has left behind."""
        if self._is_over:
            return
        if self.is_running:
            self.process.send_signal(signal.SIGKILL)  # it may have no group yet
            with suppress(ProcessLookupError):
                self.signal(signal.SIGKILL)
        self.end()


class CommandLine:
    """A program; without one `import-pipeline`, as it is once it has loaded what it imports."""

    def __init__(self, folder: Path, *program: str) -> None:
        self.folder = folder
        self.environment: dict[str, str] = {}
        self.program = program
        self._started: list[RunningCommand] = []

    def run(self, *arguments: str, status: int | None = 0, **environment: str) -> CommandResult:
        """Give the command and wait for its end; it must end with that status, None allows any."""
        ended = self.start(*arguments, **environment).end()
        # No command of ours shows a traceback; Dagster's commands do, of errors that are told on purpose too.
        assert self.program == DAGSTER or "Traceback" not in ended.out + ended.err, ended
        assert status in {None, ended.status}, ended
        return ended

    def start(self, *arguments: str, **environment: str) -> RunningCommand:
        """Give the command and go on."""
        environment = {**os.environ, **self.environment, **environment}
        if not self.program:
            self._started.append(
                RunningCommand(ForkedCommand(OURS, arguments, folder=self.folder, environment=environment))
            )
            return self._started[-1]
        process = subprocess.Popen(
            [*self.program, *arguments],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(RunningCommand(process))
        return self._started[-1]

    def run_on_terminal(self, *arguments: str, columns: int = 100) -> str:
        """Give the command at a terminal; returns everything that was drawn there."""
        ours, theirs = pty.openpty()
        environment = {**os.environ, **self.environment, "TERM": "xterm", "COLUMNS": str(columns)}
        process = ForkedCommand(OURS, arguments, folder=self.folder, environment=environment, terminal=theirs)
        os.close(theirs)
        drawn = b""
        with suppress(OSError), open(ours, "rb", buffering=0) as terminal:  # Linux ends it with an error
            while part := terminal.read(4096):
                drawn += part
        process.communicate(PATIENCE_SECONDS)
        assert process.returncode == 0, drawn
        return drawn.decode()

    def end_all(self) -> None:
        """Kill what a failed test has left behind."""
        for started in self._started:
            started.kill()


def eventually(happens: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """Look again and again until it is so; returns what the look gave."""
    deadline = time.monotonic() + seconds
    while not (seen := happens()):
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.1)
    return seen


def far_slot() -> str:
    """A slot that no test will live to see."""
    return (datetime.now(UTC) + timedelta(hours=12)).strftime("%H:%M")


def free_port() -> int:
    """A port on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Whether a server answers there with status 200."""
    try:
        return http.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def processes_of(home: Path) -> list[int]:
    """The processes that were told to keep their state in that folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"IMPORT_PIPELINE_HOME={home}".encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def stats(url: str) -> Mapping[str, Any]:
    """What the demo API has seen."""
    return dict(http.get(f"{url}/_stats").json())


def some_details(url: str, number: int) -> None:
    """Wait until so many details were asked for."""
    eventually(lambda: stats(url)["details"] >= number, f"{number} details asked for")


def rows(database: str, statement: str) -> list[dict[str, Any]]:
    """The rows of a query."""
    with _engine(database).connect() as connection:
        return [dict(row._mapping) for row in connection.execute(text(statement))]


@lru_cache
def _engine(database: str) -> Engine:
    """One for all questions, which keeps no connection."""
    return create_engine(database, poolclass=NullPool)


def tracking(home: Path) -> str:
    """The address of the embedded database."""
    return f"sqlite:///{home / 'import_pipeline.db'}"


def events_of(instance: Any, run_id: str, kind: Any) -> list[Any]:
    """The events of that kind of one of Dagster's runs."""
    return [entry.dagster_event for entry in instance.all_logs(run_id, of_type=kind)]


def words(output: str) -> str:
    """The output without its layout, to look for phrases that may be wrapped."""
    return re.sub(r"\s+", " ", output)
