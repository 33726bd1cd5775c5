"""A `dagster dev` that lives while a module's tests come and go, each with an API of its own at one address."""

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta

import httpx

from import_pipeline_tests.acceptance.outside import (
    DAGSTER,
    CommandLine,
    Started,
    answers,
    eventually,
    far_slot,
    free_port,
    processes_of,
    rows,
    stats,
    tracking,
)
from import_pipeline_tests.loaded import serve

REPOSITORIES = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
LAUNCH = """mutation($location: String!, $repository: String!, $job: String!, $config: RunConfigData!) {
  launchRun(executionParams: { runConfigData: $config
    selector: {repositoryLocationName: $location, repositoryName: $repository, jobName: $job} }) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } } }"""
TERMINATE = "mutation($id: String!) { terminateRun(runId: $id) { __typename } }"
RUNS = "{ runsOrError { ... on Runs { results { runId jobName status tags { key value } } } } }"
MATERIALIZED = """query($path: [String!]!) { assetOrError(assetKey: {path: $path}) { ... on Asset {
  assetMaterializations(limit: 1) { metadataEntries { label ... on IntMetadataEntry { intValue } } } } } }"""
#: What every server here has in common: answers that take their time, so that something is in flight.
SLOWLY = ("--limits", "none", "--delay-after", "150")


class Dev:
    """`dagster dev` in a checkout, the command line beside it, and the address at which tests serve their API."""

    def __init__(self, checkout, folder, **settings):
        self.home = folder / "state"  # not the test's own: what else a test starts is not to be killed with it
        self.ui = f"http://127.0.0.1:{free_port()}"
        self.api = f"http://127.0.0.1:{free_port()}"
        environment = {
            "PYTHONPATH": str(checkout),
            "IMPORT_PIPELINE_HOME": str(self.home),
            "ITEMS_BASE_URL": self.api,
            "ITEMS_LIMITS": "100000/1 second",
            "ITEMS_CONCURRENCY": "3",
            "ITEMS_CEILING": "3",
            "ITEMS_LEASE": "3",
            "ITEMS_SLOTS": far_slot(),
            **settings,
        }
        self.dagster = CommandLine(checkout, *DAGSTER)
        self.command = CommandLine(folder)
        self.dagster.environment = self.command.environment = environment

    def start(self):
        """Start it, and wait until its UI knows the definitions."""
        # Not into a pipe: what nobody reads fills it, and then whoever prints waits.
        with (self.home.parent / "dagster.log").open("a") as said:
            process = subprocess.Popen(
                [*self.dagster.program, "dev", "--port", self.ui.rpartition(":")[2]],
                cwd=self.dagster.folder,
                env={**os.environ, **self.dagster.environment},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
                text=True,
            )
        self.process = Started(process)
        eventually(lambda: answers(f"{self.ui}/server_info"), "dagster dev serves its UI", seconds=240)
        eventually(
            lambda: self.ask(REPOSITORIES)["repositoriesOrError"]["nodes"], "the definitions are loaded", seconds=240
        )

    def stop(self):
        if self.process.is_running:
            self.process.signal(signal.SIGINT)
            self.process.end()
        eventually(lambda: not processes_of(self.home), "all of dagster dev has ended")

    def end(self):
        """Whatever has happened, leave no process behind. How long they take to end is not what tests are about."""
        try:
            with suppress(subprocess.TimeoutExpired):
                self.stop()
        finally:
            for pid in processes_of(self.home):
                os.kill(pid, signal.SIGKILL)
            self.process.process.wait()

    def kill(self):
        """As a power cut would: the servers, the daemon, the workers, all at once."""
        for pid in processes_of(self.home):
            os.kill(pid, signal.SIGKILL)
        self.process.process.communicate()

    @contextmanager
    def serving(self, *options):
        """The demo API at this installation's address; waits until whatever goes on has ended before it goes."""
        with serve(*SLOWLY, *options, "--port", self.api.rpartition(":")[2]):
            try:
                yield
            finally:
                eventually(lambda: not self.imports("status = 'running'"), "the running import has ended")

    # What a person does in the browser, by its own interface

    def ask(self, query, **variables):
        answer = httpx.post(f"{self.ui}/graphql", json={"query": query, "variables": variables}, timeout=30).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def launch(self, job, **op_config):
        """Launch a job, with the configuration of its one op; returns the run's id."""
        [found] = self.ask(REPOSITORIES)["repositoriesOrError"]["nodes"]
        where = {"location": found["location"]["name"], "repository": found["name"]}
        config = {"ops": {op: {"config": values} for op, values in op_config.items()}} if op_config else {}
        launched = self.ask(LAUNCH, job=job, config=config, **where)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return launched["run"]["runId"]

    def terminate(self, run_id):
        assert self.ask(TERMINATE, id=run_id)["terminateRun"]["__typename"] == "TerminateRunSuccess"

    def runs(self, import_id):
        """run id -> status, of all runs of that import."""
        tag = {"key": "import_id", "value": str(import_id)}
        return {run["runId"]: run["status"] for run in self.ask(RUNS)["runsOrError"]["results"] if tag in run["tags"]}

    def sequels(self):
        """status and followed imports of every run that makes application rows, the latest first."""
        runs = [
            (run["status"], tag["value"])
            for run in self.ask(RUNS)["runsOrError"]["results"]
            for tag in run["tags"]
            if tag["key"] == "completed_imports"
        ]
        return [(status, [int(each) for each in followed.split(",")]) for status, followed in runs]

    def materialized(self, asset):
        """The figures of the asset's latest materialization."""
        [told] = self.ask(MATERIALIZED, path=[asset])["assetOrError"]["assetMaterializations"]
        return {entry["label"]: entry["intValue"] for entry in told["metadataEntries"] if "intValue" in entry}

    # What stands in the tables

    def query(self, statement):
        return rows(tracking(self.home), statement)

    def imports(self, condition="true"):
        return self.query(f"SELECT * FROM imports WHERE {condition} ORDER BY id")

    def row(self, import_id):
        [row] = self.imports(f"id = {import_id}")
        return row

    def wait_for(self, condition, what=None):
        """The one import of which that is true, as soon as there is one."""
        return eventually(lambda: self.imports(condition), what or f"an import with {condition}")[-1]

    def ended(self, import_id, status):
        eventually(lambda: self.row(import_id)["ended_at"], f"import {import_id} has ended")
        row = self.row(import_id)
        assert row["status"] == status, row
        return row

    def execute(self, statement, *values):
        with closing(sqlite3.connect(self.home / "import_pipeline.db", timeout=20)) as connection, connection:
            connection.execute(statement, values)

    def details(self):
        return stats(self.api)["details"]

    def requests_at(self):
        """When each request was let in, as seconds of the epoch; server and test share the machine's clocks."""
        offset = time.time() - time.monotonic()
        return [offset + moment for moment, _, _ in httpx.get(f"{self.api}/_log").json()]


def moment(text):
    """A time of a row, as seconds of the epoch."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def hours_ago(hours):
    return (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%d %H:00:00.000000")
