"""Run commands as a user does, and read their output, files and databases."""

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
#: Modules to give to a CommandLine: of `import-pipeline`, `dagster` and `dg`.
OURS, DAGSTERS, DGS = "import_pipeline.cli", "dagster._cli", "dagster_dg_cli.cli"


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """The output and exit status of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The last line of the output, as JSON."""
        return json.loads(self.out.splitlines()[-1])

    @property
    def sentence(self) -> str:
        """The only sentence on standard error; fails if there are more or none."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("import-pipeline: "), self.err
        return lines[0].removeprefix("import-pipeline: ")


class RunningCommand:
    """A running command, in a process group of its own."""

    def __init__(self, process: subprocess.Popen[str] | ForkedCommand) -> None:
        self.process = process
        self._is_over = False

    @property
    def is_running(self) -> bool:
        """True until the process has ended."""
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group, as a terminal does."""
        os.killpg(self.process.pid, number)

    def end(self) -> CommandResult:
        """Wait for its end and return its result."""
        out, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        self._is_over = True
        return CommandResult(status=self.process.returncode, out=out, err=err)

    def kill(self) -> None:
        """Kill it and its group if they still run, and close its files. Used after failed tests."""
        if self._is_over:
            return
        if self.is_running:
            self.process.send_signal(signal.SIGKILL)  # it may have no group yet
            with suppress(ProcessLookupError):
                self.signal(signal.SIGKILL)
        self.end()


class CommandLine:
    """Runs a program; without one, `main()` of a module, forked from a process that has loaded its modules."""

    def __init__(self, folder: Path, *program: str, module: str = OURS) -> None:
        self.folder, self.module = folder, module
        self.environment: dict[str, str] = {}
        self.program = program
        self._started: list[RunningCommand] = []

    def run(self, *arguments: str, status: int | None = 0, **environment: str) -> CommandResult:
        """Run the command to its end. It must end with that status; None allows any."""
        ended = self.start(*arguments, **environment).end()
        # No `import-pipeline` command prints a traceback; Dagster's commands do, even for expected errors.
        assert self.program == DAGSTER or self.module == DAGSTERS or "Traceback" not in ended.out + ended.err, ended
        assert status in {None, ended.status}, ended
        return ended

    def start(self, *arguments: str, **environment: str) -> RunningCommand:
        """Start the command and return at once."""
        environment = {**os.environ, **self.environment, **environment}
        if not self.program:
            self._started.append(
                RunningCommand(ForkedCommand(self.module, arguments, folder=self.folder, environment=environment))
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
        """Run the command at a terminal; return everything that it printed there."""
        ours, theirs = pty.openpty()
        environment = {**os.environ, **self.environment, "TERM": "xterm", "COLUMNS": str(columns)}
        process = ForkedCommand(self.module, arguments, folder=self.folder, environment=environment, terminal=theirs)
        os.close(theirs)
        drawn = b""
        with suppress(OSError), open(ours, "rb", buffering=0) as terminal:  # Linux ends it with an error
            while part := terminal.read(4096):
                drawn += part
        process.communicate(PATIENCE_SECONDS)
        assert process.returncode == 0, drawn
        return drawn.decode()

    def end_all(self) -> None:
        """Kill the commands that a failed test left running."""
        for started in self._started:
            started.kill()


def eventually(happens: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS, *, pause: float = 0.1) -> Any:
    """Call `happens` until it returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (seen := happens()):
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(pause)
    return seen


def far_slot() -> str:
    """Return a slot twelve hours from now, which no test reaches."""
    return (datetime.now(UTC) + timedelta(hours=12)).strftime("%H:%M")


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Return True if a server answers at that address with status 200."""
    try:
        return http.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def processes_of(home: Path) -> list[int]:
    """Return the ids of processes whose state folder is that one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"IMPORT_PIPELINE_HOME={home}".encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def commands_of(home: Path) -> list[bytes]:
    """Return the command lines of those processes."""
    found = []
    for pid in processes_of(home):
        with suppress(OSError):
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes())
    return found


def stats(url: str) -> Mapping[str, Any]:
    """Return the counters of the demo API."""
    return dict(http.get(f"{url}/_stats").json())


def some_details(url: str, number: int) -> None:
    """Wait until the demo API has received that many detail requests."""
    eventually(lambda: stats(url)["details"] >= number, f"{number} details asked for")


def rows(database: str, statement: str) -> list[dict[str, Any]]:
    """Return the rows of a query."""
    with _engine(database).connect() as connection:
        return [dict(row._mapping) for row in connection.execute(text(statement))]


@lru_cache
def _engine(database: str) -> Engine:
    """Return one engine per address; it keeps no connection open."""
    return create_engine(database, poolclass=NullPool)


def tracking(home: Path) -> str:
    """Return the address of the SQLite tracking database."""
    return f"sqlite:///{home / 'import_pipeline.db'}"


def events_of(instance: Any, run_id: str, kind: Any) -> list[Any]:
    """Return a Dagster run's events of that kind."""
    return [entry.dagster_event for entry in instance.all_logs(run_id, of_type=kind)]


def words(output: str) -> str:
    """Return the output with its whitespace collapsed: phrases may be wrapped."""
    return re.sub(r"\s+", " ", output)
