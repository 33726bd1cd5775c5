"""Parts of the state machine: a settable clock, a changing API, processes that can die at any statement."""

import asyncio
import signal
import subprocess
import threading
import uuid
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache, partial

import httpx
from sqlalchemy import event

from import_pipeline.errors import ImportPipelineError
from import_pipeline.importer.execution.run import execute_import
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.runtime.api_client import open_api
from import_pipeline.testing import CannedTransport, FakeClock
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.workers import Worker, machine
from import_pipeline_tests.support.dying_process import ProcessDied

#: A run in the background leaves its import during a longer pause.
PATIENCE = timedelta(minutes=1)
#: Events of an engine at which a process may die.
STATEMENTS = ("do_execute", "do_executemany", "do_execute_no_params", "commit")


class SettableClock(FakeClock):
    """A fake clock whose wall time can be set."""

    def __init__(self, now):
        super().__init__(now)
        self.set_by = timedelta(0)

    def now(self):
        """The wall-clock time, as it was set."""
        return super().now() + self.set_by

    async def sleep(self, seconds):
        """Advance at once: the loop cannot see a thread that writes."""
        wake_up = self.monotonic() + max(0.0, seconds)
        await asyncio.sleep(0.001 if seconds > 0 else 0)
        self.advance(max(0.0, wake_up - self.monotonic()))


@dataclass
class ChangingApi:
    """A list of items; at the end each row must have the version of its item."""

    versions: dict[str, int] = field(default_factory=lambda: {str(number): 1 for number in range(6)})
    born: dict[str, int] = field(default_factory=dict)  #: id -> the change by which it came (again)
    broken: set[str] = field(default_factory=set)  #: their details are a 500
    pauses: int = 0  #: number of requests to answer with 429 and an hour's wait
    changes: int = 0

    def add(self):
        """Add a new item, or one that was removed."""
        self.changes += 1
        number = next(each for each in map(str, range(1000)) if each not in self.versions)
        self.versions[number] = self.changes + 1
        self.born[number] = self.changes

    def remove(self, which):
        """Remove an item."""
        self.changes += 1
        self.versions.pop(which)

    def change(self, which):
        """Change the version of an item."""
        self.changes += 1
        self.versions[which] = self.changes + 1

    def __call__(self, request):
        if self.pauses:
            self.pauses -= 1
            return httpx.Response(429, headers={"retry-after": "3600"})
        which = request.url.path.rpartition("/")[2]
        if which == "items":
            return self.page(int(request.url.params["page"]), int(request.url.params["perPage"]))
        if which in self.broken:
            return httpx.Response(500)
        if which not in self.versions:
            return httpx.Response(404)
        return {"id": which, "name": "n", "price": str(self.versions[which])}

    def page(self, number, size):
        """Return a page of the list, in the order of arrival."""
        pairs = list(self.versions.items())
        data = [{"id": key, "name": "n", "updated_at": str(version)} for key, version in pairs]
        last = max(1, -(-len(data) // size))
        part = data[(number - 1) * size : number * size]
        return {"data": part, "current_page": number, "last_page": last, "total": len(data)}


@dataclass
class ProcessDeath:
    """Kills a process at its n-th request or statement: it writes nothing more. `acts` are actions of operators.

    0: it is not killed. An interrupt is a signal, which the process handles.
    """

    kill_at: int = 0
    interrupt_at: int = 0
    acts: dict[int, object] = field(default_factory=dict)  #: number of the request -> what is called before its answer
    is_dead: bool = False
    passed: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def statement(self, *_):
        """Count a statement or commit; raise if the process dies here.

        Those of the heartbeat are not counted: their number depends on the time that passes.
        """
        is_heartbeat = threading.current_thread().name == "import-heartbeat"
        with self._lock:
            self.passed["point"] += not is_heartbeat
            self.is_dead = self.is_dead or (not is_heartbeat and self.passed["point"] == self.kill_at)
            if not self.is_dead:
                return
        if is_heartbeat:
            raise SystemExit  # the thread ends without a word
        raise ProcessDied

    def request(self, answer, request):
        """Count a request; raise if the process dies here."""
        self.passed["request"] += 1
        if (act := self.acts.get(self.passed["request"])) is not None:
            act()
        if self.passed["request"] == self.interrupt_at:
            signal.raise_signal(signal.SIGTERM)
        self.statement()
        return answer(request)


@contextmanager
def worker_of(place):
    """Yield a worker: a living process of this machine until the block ends, or one of another machine."""
    if place == "elsewhere":
        yield Worker(id=uuid.uuid4().hex, host="elsewhere", pid=1)
        return
    with subprocess.Popen(["sleep", "1000"]) as process:
        try:
            yield Worker(id=uuid.uuid4().hex, host=machine(), pid=process.pid)
        finally:
            process.kill()


def run_process(installation, source, import_id, *, api, permits, doom, place, run_id):
    """Run one process of the import. Returns its summary, its error, or None if it was killed."""
    url = installation.database.url.render_as_string(hide_password=False)
    database = Database(url)
    database.engine = _engine_of_processes(url)
    for name in STATEMENTS:
        event.listen(database.engine, name, doom.statement)
    own = Installation(
        settings=installation.settings,
        sources=installation.sources,
        database=database,
        clock=installation.clock,
        chance=installation.chance,
    )
    transport = CannedTransport(partial(doom.request, api))
    connect = partial(open_api, source, own.settings, own.clock, transport, patience=PATIENCE, permits=permits)
    try:
        with worker_of(place) as worker:
            run = ImportRun(installation=own, source=source, connect=connect, worker=worker, run_id=run_id)
            return execute_import(run, import_id)
    except ProcessDied:
        return None
    except ImportPipelineError as error:
        return error
    finally:
        doom.is_dead = False  # a rollback now writes nothing
        database.close()
        for name in STATEMENTS:
            event.remove(database.engine, name, doom.statement)


@lru_cache(maxsize=1)
def _engine_of_processes(url):
    """Return the engine of all processes: compiling its statements anew takes most of the time of a short import."""
    return Database(url).engine
