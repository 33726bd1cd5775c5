"""Dagster's UI, used through its GraphQL interface."""

from import_pipeline_tests.acceptance.command_line import PATIENCE_SECONDS, answers, eventually
from import_pipeline_tests.support import http

REPOSITORIES = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
LAUNCH = """mutation($location: String!, $repository: String!, $job: String!, $config: RunConfigData!) {
  launchRun(executionParams: { runConfigData: $config
    selector: {repositoryLocationName: $location, repositoryName: $repository, jobName: $job} }) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } } }"""
REEXECUTE = """mutation($id: String!) {
  launchRunReexecution(reexecutionParams: {parentRunId: $id, strategy: ALL_STEPS}) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
TERMINATE = """mutation($id: String!) { terminateRun(runId: $id) {
  __typename ... on TerminateRunFailure { message } ... on PythonError { message } } }"""
STATUS = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
RUNS = "{ runsOrError { ... on Runs { results { runId jobName status tags { key value } } } } }"
MATERIALIZED = """query($path: [String!]!) { assetOrError(assetKey: {path: $path}) { ... on Asset {
  assetMaterializations(limit: 1) { metadataEntries { label ... on IntMetadataEntry { intValue } } } } } }"""
STALE = """query($path: [String!]!) { assetNodeOrError(assetKey: {path: $path}) { ... on AssetNode {
  partitionKeys staleStatusByPartition } } }"""
SENSOR = "query($sensor: SensorSelector!) { sensorOrError(sensorSelector: $sensor) { ... on Sensor { id } } }"
START_SENSOR = "mutation($sensor: SensorSelector!) { startSensor(sensorSelector: $sensor) { __typename } }"
STOP_SENSOR = "mutation($id: String!) { stopSensor(id: $id) { __typename } }"

#: Seconds between two looks at runs: each keeps the webserver busy for much of a tenth.
PAUSE = 0.5


class DagsterUi:
    """The Dagster UI at that address."""

    def __init__(self, address):
        self.address = address

    def wait(self, seconds=PATIENCE_SECONDS):
        """Wait until it serves and has loaded the definitions."""
        eventually(lambda: answers(f"{self.address}/server_info"), "dagster dev serves its UI", seconds)
        eventually(self.repositories, "the definitions are loaded", seconds)

    def ask(self, query, **variables):
        answer = http.post(f"{self.address}/graphql", json={"query": query, "variables": variables}, timeout=30).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def repositories(self):
        return self.ask(REPOSITORIES)["repositoriesOrError"]["nodes"]

    def where(self):
        """Return the names of the code location and its repository."""
        [found] = self.repositories()
        return {"location": found["location"]["name"], "repository": found["name"]}

    def launch(self, job, **op_config):
        """Launch a job with the configuration of its only op; return the run's id."""
        config = {"ops": {op: {"config": values} for op, values in op_config.items()}} if op_config else {}
        return _launched(self.ask(LAUNCH, job=job, config=config, **self.where())["launchRun"])

    def launch_again(self, run_id):
        """Re-execute a whole run; return the new run's id."""
        return _launched(self.ask(REEXECUTE, id=run_id)["launchRunReexecution"])

    def switch_on(self, sensor):
        started = self.ask(START_SENSOR, sensor=self._selector(sensor))["startSensor"]
        assert started["__typename"] == "Sensor", started

    def switch_off(self, sensor):
        found = self.ask(SENSOR, sensor=self._selector(sensor))["sensorOrError"]
        stopped = self.ask(STOP_SENSOR, id=found["id"])["stopSensor"]
        assert stopped["__typename"] == "StopSensorMutationResult", stopped

    def _selector(self, sensor):
        where = self.where()
        return {
            "repositoryLocationName": where["location"],
            "repositoryName": where["repository"],
            "sensorName": sensor,
        }

    def terminate(self, run_id):
        terminated = self.ask(TERMINATE, id=run_id)["terminateRun"]
        assert terminated["__typename"] == "TerminateRunSuccess", terminated

    def status(self, run_id):
        return self.ask(STATUS, id=run_id)["runOrError"]["status"]

    def wait_for(self, run_id, status):
        self.eventually(lambda: self.status(run_id) == status, f"run {run_id} is {status}")

    def eventually(self, happens, what, seconds=PATIENCE_SECONDS):
        """Wait for what only the UI shows."""
        return eventually(happens, what, seconds, pause=PAUSE)

    def runs(self, import_id):
        """Return run id -> status of all runs of that import."""
        tag = {"key": "import_id", "value": str(import_id)}
        return {run["runId"]: run["status"] for run in self.ask(RUNS)["runsOrError"]["results"] if tag in run["tags"]}

    def downstream_runs(self):
        """Return (status, followed imports) of every run that makes application rows, newest first."""
        runs = [
            (run["status"], tag["value"])
            for run in self.ask(RUNS)["runsOrError"]["results"]
            for tag in run["tags"]
            if tag["key"] == "completed_imports"
        ]
        return [(status, [int(each) for each in followed.split(",")]) for status, followed in runs]

    def materialized(self, asset):
        """Return the numbers in the asset's latest materialization."""
        [latest] = self.ask(MATERIALIZED, path=[asset])["assetOrError"]["assetMaterializations"]
        return {entry["label"]: entry["intValue"] for entry in latest["metadataEntries"] if "intValue" in entry}

    def staleness(self, asset):
        """Return partition -> MISSING, STALE (the UI says unsynced) or FRESH."""
        found = self.ask(STALE, path=[asset])["assetNodeOrError"]
        return dict(zip(found["partitionKeys"], found["staleStatusByPartition"], strict=True))


def _launched(answer):
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return answer["run"]["runId"]
