"""Helpers of tests of whole imports: servers in a thread, settings, the stored outcome."""

import multiprocessing
import multiprocessing.context
import re
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn
from sqlalchemy import select
from starlette.applications import Starlette

from import_pipeline import run_import
from import_pipeline.errors import ImportPipelineError
from import_pipeline.importer.execution.run import execute_import
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.execution.shard_worker import execute_shard
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.lifecycle.acquire import find_or_create
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.runtime.api_client import open_api
from import_pipeline.importer.source_loader import configure
from import_pipeline.rules.status import Trigger
from import_pipeline.settings import load_settings
from import_pipeline.sources.items import ImportedItem
from import_pipeline.tracking import imports, items
from import_pipeline.tracking.database.engine import Database
from import_pipeline_tests.support import http
from import_pipeline_tests.support.parallel import PRELOAD
from source_api.app import create_app
from source_api.options import Options
from source_api.server import DemoServer, listen

#: No waits, for tests that are not about limits.
FREE = "100000/1 second"
#: Short waits, and never more requests in flight than `concurrency`.
QUICK = {
    "ITEMS_LIMITS": FREE,
    "ITEMS_CEILING": "1",
    "ITEMS_TIMEOUT": "10",
    "ITEMS_TRIES": "3",
    "ITEMS_BACKOFF": "0.05",
}


@contextmanager
def served(app: Starlette, *, demo: bool = False) -> Iterator[str]:
    """Serve the application on a free port in a thread; yield its address."""
    ready = threading.Event()
    with listen("127.0.0.1", 0) as listener:
        if demo:
            server: uvicorn.Server = DemoServer(app, started=ready.set)
        else:
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, log_level="critical", ws="none"))
            ready.set()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert ready.wait(20)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)


@contextmanager
def demo_api(**options: Any) -> Iterator[str]:
    """Serve the demo API with those options (see `source_api.Options`) and without limits."""
    with served(create_app(Options(**{"limits": "none", **options})), demo=True) as url:
        yield url


def settings(home, url, **environment):
    """Return settings with `items` at that address."""
    return load_settings(
        {"IMPORT_PIPELINE_HOME": str(home), "ITEMS_BASE_URL": url, **QUICK, **environment}, home.parent
    )


def environment_of(home, url, **environment):
    """Return the same settings as an environment, for another process."""
    return {"IMPORT_PIPELINE_HOME": str(home), "ITEMS_BASE_URL": url, **QUICK, **environment}


@contextmanager
def import_process(configured, source="items"):
    """Run `run_import` in a process of its own, which is killed when the block ends."""
    context = multiprocessing.get_context("forkserver")  # a fork of a process with threads may hang
    context.set_forkserver_preload([*PRELOAD, __name__])
    process = ImportProcess(context, configured, source)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join(60)


@contextmanager
def shard_processes(configured, *numbers, source="items"):
    """Start processes that work as those shards of the running import; they are killed when the block ends."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOAD, __name__])
    processes = [ImportProcess(context, configured, source, number) for number in numbers]
    for process in processes:
        process.start()
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.join(60)


class ImportProcess(multiprocessing.context.ForkServerProcess):
    """A process that imports, or works as that shard. It sends its result to `outcome` when it ends."""

    def __init__(self, context, configured, source, shard=None):
        self.outcome, sender = context.Pipe(duplex=False)
        if shard is None:
            super().__init__(target=_import_apart, args=(configured, source, sender))
        else:
            super().__init__(target=_share_apart, args=(configured, source, shard, sender))


def _import_apart(configured, source, sender):
    warnings.simplefilter("error")
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup, which processes inherit
    try:
        run_import(source, settings=configured)
    except ImportPipelineError as error:
        sender.send(f"{type(error).__name__}: {error}")
    else:
        sender.send(None)


def _share_apart(configured, source, number, sender):
    warnings.simplefilter("error")
    with open_installation(configured) as installation:
        found = installation.source(source)
        with installation.database.read() as connection:
            row = imports.running(connection, source)
        try:
            ending = execute_shard(ImportRun(installation=installation, source=found), row.id, number)
        except ImportPipelineError as error:
            sender.send(f"{type(error).__name__}: {error}")
        else:
            sender.send(ending)


def ending_of(process):
    """Return the error of the process; without one, the outcome of a shard, or None for a completed import."""
    assert process.outcome.poll(60)
    return process.outcome.recv()


def import_through(connected_to, source, settings, clock=None, **values):
    """Import the source over the transport, through the limiter."""
    timed = {} if clock is None else {"clock": clock}
    with open_installation(settings, configure([source], settings), **timed) as installation:
        found = installation.source(source.name)
        row = find_or_create(installation.database, found, new_import(found, Trigger.CLI, **values), installation.clock)
        connect = partial(open_api, found, settings, installation.clock, connected_to)
        return execute_import(ImportRun(installation=installation, source=found, connect=connect), row.id)


@contextmanager
def tracking(settings):
    """Connect to the tracking database."""
    database = Database(settings.database_url)
    try:
        with database.read() as connection:
            yield connection
    finally:
        database.close()


def latest(settings):
    """Return the newest import's row."""
    with tracking(settings) as connection:
        return imports.latest(connection, limit=1)[0]


def reasons(settings, import_id=None):
    """Return external_id -> failure reason, by default of the newest import."""
    with tracking(settings) as connection:
        import_id = import_id or imports.latest(connection, limit=1)[0].id
        return {each.external_id: each.reason for each in items.failures(connection, import_id)}


def rows(settings, model=ImportedItem):
    """Return the user's rows by external id."""
    with tracking(settings) as connection:
        found = connection.execute(select(model.__table__)).mappings().all()
        by_id = {row["external_id"]: dict(row) for row in found}
        assert len(by_id) == len(found)
        return by_id


def without_place(reason):
    """Return a reason without the file and line of its hook, which other tests check."""
    return re.sub(r" \([^()]*\.py, line \d+\)", "", reason)


def reasons_without_place(settings):
    """Return external_id -> failure reason of the newest import, without files and lines."""
    return {external_id: without_place(reason) for external_id, reason in reasons(settings).items()}


def log(url):
    """Return the paths of the requests to the demo API, in their order."""
    return [path for _, path, _ in http.get(f"{url}/_log").json()]


def counts(summary):
    """Return status and counters of a summary."""
    return (
        summary.status,
        summary.items_count,
        summary.items_imported_count,
        summary.items_unchanged_count,
        summary.items_failed_count,
    )
