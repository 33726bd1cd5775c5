"""Dagster's own commands, UI and daemon in a checkout, with nothing set but the API's address and a state folder."""

import re
from datetime import timedelta
from pathlib import Path

import dagster as dg
import httpx
import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import ImportableMixin, ImportSource
from import_pipeline.defs.build import build_import_definitions
from import_pipeline.defs.places import places_of
from import_pipeline.defs.resources import RateLimitedApiResource
from import_pipeline.defs.tracking_assets import tracking_specs
from import_pipeline.settings import load_settings
from import_pipeline_tests.acceptance.outside import (
    DAGSTER,
    CommandLine,
    answers,
    eventually,
    far_slot,
    free_port,
    rows,
    some_details,
    stats,
    tracking,
)
from import_pipeline_tests.loaded import serve

DEFINITIONS = ("-m", "import_pipeline.definitions")
CHECKS = {"all_items_imported", "no_unexpected_429", "counts_agree_with_the_source", "nothing_failed_for_good"}


@pytest.fixture
def dagster(checkout, home):
    """The `dagster` command, given at the top of the checkout."""
    line = CommandLine(checkout, *DAGSTER)
    line.environment = {"PYTHONPATH": str(checkout), "ITEMS_SLOTS": far_slot()}
    yield line
    line.end_all()


@pytest.fixture
def instance(checkout, home, monkeypatch):
    """The instance that those commands write to."""
    monkeypatch.chdir(checkout)
    with dg.DagsterInstance.from_config(str(checkout)) as opened:
        yield opened


def contents(folder: Path):
    """Every file and what is in it."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def own_warnings(text):
    """Warnings that are not about Dagster's own commands: it wants `dg` to be used instead of them."""
    return [
        line for line in text.splitlines() if re.search(r"\w*Warning\b", line) and "SupersessionWarning" not in line
    ]


def events_of(instance, run_id, kind):
    """The run's events of that kind."""
    return [entry.dagster_event for entry in instance.all_logs(run_id, of_type=kind)]


def test_the_documented_commands_work_at_the_top_of_a_checkout_and_leave_it_as_it_was(
    dagster, instance, checkout, home
):
    before = contents(checkout)
    with serve("--items", "20", "--limits", "none") as url:
        dagster.environment |= {"ITEMS_BASE_URL": url}
        said = [dagster.run("definitions", "validate", "-w", "workspace.yaml")]
        said += [dagster.run("job", "execute", *DEFINITIONS, "-j", "import_items")]
        assert stats(url)["details"] == 20
        one = ("--select", "enriched_items", "--partition", "17")
        said += [dagster.run("asset", "materialize", *DEFINITIONS, *one)]
        assert stats(url)["repeated_details"] == {"17": 2}
        said += [dagster.run("asset", "materialize", *DEFINITIONS, "--select", "discovered_items")]
        assert stats(url)["details"] == 21
    assert contents(checkout) == before
    assert [own_warnings(each.out + each.err) for each in said] == [[], [], [], []]
    kinds = rows(tracking(home), "SELECT kind, status FROM imports ORDER BY id")
    assert [(row["kind"], row["status"]) for row in kinds] == [
        ("full", "completed"),
        ("selection", "completed"),
        ("discovery", "completed"),
    ]
    check_the_events(instance)


def check_the_events(instance):
    discovery, selection, full = instance.get_runs()
    assert [run.tags["import_id"] for run in (discovery, selection, full)] == ["3", "2", "1"]
    assert {run.status for run in (discovery, selection, full)} == {dg.DagsterRunStatus.SUCCESS}
    assert (full.job_name, full.tags["import_source"]) == ("import_items", "items")
    said = [entry.user_message for entry in instance.all_logs(full.run_id) if not entry.is_dagster_event]
    assert [re.search(r"\[(\w+)\]$", sentence)[1] for sentence in said] == ["import_started", "import_completed"]
    everything = {str(number) for number in range(1, 21)}
    assert set(instance.get_dynamic_partitions("items")) == everything
    assert instance.get_materialized_partitions(dg.AssetKey("enriched_items")) == everything
    told = events_of(instance, full.run_id, dg.DagsterEventType.ASSET_MATERIALIZATION)
    by_asset = {}
    for event in told:
        by_asset.setdefault(event.asset_key.to_user_string(), []).append(event)
    assert {name: len(events) for name, events in by_asset.items()} == {
        "discovered_items": 1,
        "enriched_items": 21,
        "imports": 1,
        "import_item_statuses": 1,
    }
    item = next(event.materialization for event in by_asset["enriched_items"] if event.partition == "17")
    assert {key: value.value for key, value in item.metadata.items() if key != "request_seconds"} == {
        "tries": 1,
        "http_status": 200,
        "import_id": 1,
    }
    assert 0 < item.metadata["request_seconds"].value < 60
    assert by_asset["imports"][0].materialization.metadata["panel"].value == "http://127.0.0.1:3001/imports/1"
    figures = by_asset["discovered_items"][0].materialization.metadata
    assert (figures["items_imported"].value, figures["items_failed"].value, figures["requests"].value) == (20, 0, 21)
    counted = {
        name: by_asset[name][0].materialization.metadata["dagster/row_count"].value
        for name in by_asset
        if "import" in name
    }
    assert counted == {"imports": 1, "import_item_statuses": 20}
    checks = [
        event.asset_check_evaluation_data
        for event in events_of(instance, full.run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    ]
    assert {check.check_name: check.passed for check in checks} == dict.fromkeys(CHECKS, True)
    of_selection = events_of(instance, selection.run_id, dg.DagsterEventType.ASSET_MATERIALIZATION)
    assert [e.partition for e in of_selection if e.asset_key == dg.AssetKey("enriched_items")] == ["17"]


def test_an_import_that_fails_is_a_failed_run_with_its_reason(dagster, instance):
    ended = dagster.run(
        "job", "execute", *DEFINITIONS, "-j", "import_items", status=1, ITEMS_BASE_URL="http://127.0.0.1:9"
    )
    assert "the API at http://127.0.0.1:9 cannot be reached" in ended.out + ended.err
    [run] = instance.get_runs()
    assert run.status is dg.DagsterRunStatus.FAILURE
    [failure] = events_of(instance, run.run_id, dg.DagsterEventType.STEP_FAILURE)
    assert failure.step_failure_data.user_failure_data.description.startswith(
        "the API at http://127.0.0.1:9 cannot be reached: "
    )


class Base(DeclarativeBase):
    """A user's own tables."""


class Thing(ImportableMixin, Base):
    """A user's own row."""

    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    price: Mapped[str | None]

    def detail_request(self):
        return httpx.Request("GET", f"/api/items/{self.external_id}")

    def populate(self, detail):
        self.price = detail["price"]


class Things(ImportSource):
    """A user's own source, listed in no setting."""

    name = "things"
    model = Thing
    owners = ("team:data", "ada@example.com")

    def list_request(self, page, per_page):
        return httpx.Request("GET", "/api/items", params={"page": page, "perPage": per_page})

    def items(self, list_response):
        return list_response.json()["data"]

    def has_next_page(self, list_response):
        return list_response.json()["next_page_url"] is not None

    def stub(self, item):
        return Thing(external_id=str(item["id"]))


def test_a_users_own_source_becomes_definitions_with_a_configured_resource(home):
    with (
        serve("--items", "8", "--limits", "5/1 second", "--token", "mine") as url,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("THINGS_TOKEN", "mine")
        api = RateLimitedApiResource(base_url=url, limits="5/1 second", concurrency=3, timeout=10)
        definitions = build_import_definitions(Things(), api)
        dg.Definitions.validate_loadable(definitions)
        check_what_the_assets_say(definitions)
        with dg.DagsterInstance.ephemeral() as instance:
            result = definitions.resolve_job_def("import_things").execute_in_process(instance=instance)
            assert result.success
            assert len(instance.get_materialized_partitions(dg.AssetKey("enriched_things"))) == 8
            tags = instance.get_run_by_id(result.run_id).tags
            assert (tags["import_source"], tags["import_id"], tags["import_made_by"]) == ("things", "1", result.run_id)
        assert (stats(url)["details"], stats(url)["rate_limited"]) == (8, 0)
    assert rows(tracking(home), "SELECT count(price) AS prices FROM things") == [{"prices": 8}]
    [row] = rows(tracking(home), "SELECT source, requests_count, rate_limit_sleeps_count FROM imports")
    assert (row["source"], row["requests_count"]) == ("things", 9)
    assert row["rate_limit_sleeps_count"] > 0


def check_what_the_assets_say(definitions):
    """Whose they are, when they count as late, where the panel shows them, which columns the table has."""
    spec = definitions.resolve_assets_def("enriched_things").specs_by_key[dg.AssetKey("enriched_things")]
    listed = definitions.resolve_assets_def("discovered_things").specs_by_key[dg.AssetKey("discovered_things")]
    for each in (spec, listed):
        assert list(each.owners) == ["team:data", "ada@example.com"]
        assert each.freshness_policy == dg.FreshnessPolicy.time_window(
            warn_window=timedelta(hours=4), fail_window=timedelta(hours=7)
        )
        assert each.metadata["panel"].value == "http://127.0.0.1:3001/?source=things"
    columns = spec.metadata["dagster/column_schema"].columns
    assert [(column.name, column.type, column.constraints.nullable) for column in columns] == [
        ("id", "integer", False),
        ("price", "varchar", True),
        ("external_id", "varchar(255)", False),
    ]
    assert [column.name for column in columns if column.constraints.unique] == ["external_id"]


def test_every_column_of_the_tracking_tables_is_described_in_a_sentence(home):
    specs = tracking_specs(places_of(load_settings()))
    columns = [column for spec in specs for column in spec.metadata["dagster/column_schema"].columns]
    assert len(columns) > 50
    assert [each.name for each in columns if not (each.description or "").endswith(".")] == []


REPOSITORIES = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
LAUNCH = """mutation($location: String!, $repository: String!, $job: String!) { launchRun(executionParams: {
  selector: {repositoryLocationName: $location, repositoryName: $repository, jobName: $job}
  runConfigData: {} }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
TERMINATE = """mutation($id: String!) { terminateRun(runId: $id) {
  __typename ... on TerminateRunFailure { message } ... on PythonError { message } } }"""
REEXECUTE = """mutation($id: String!) {
  launchRunReexecution(reexecutionParams: {parentRunId: $id, strategy: ALL_STEPS}) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
STALE = """{ assetNodeOrError(assetKey: {path: ["enriched_items"]}) { ... on AssetNode {
  partitionKeys staleStatusByPartition } } }"""
STATUS = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


class DagsterUi:
    """What a person does in the browser, by its own interface."""

    def __init__(self, address):
        self.address = address

    def ask(self, query, **variables):
        answer = httpx.post(f"{self.address}/graphql", json={"query": query, "variables": variables}, timeout=30).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def repositories(self):
        return self.ask(REPOSITORIES)["repositoriesOrError"]["nodes"]

    def launch(self, job):
        [found] = eventually(self.repositories, "the definitions are loaded")
        where = {"location": found["location"]["name"], "repository": found["name"]}
        launched = self.ask(LAUNCH, job=job, **where)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return launched["run"]["runId"]

    def launch_again(self, run_id):
        launched = self.ask(REEXECUTE, id=run_id)["launchRunReexecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return launched["run"]["runId"]

    def staleness(self):
        """Partition -> MISSING, STALE (the UI says unsynced) or FRESH."""
        found = self.ask(STALE)["assetNodeOrError"]
        return dict(zip(found["partitionKeys"], found["staleStatusByPartition"], strict=True))

    def status(self, run_id):
        return self.ask(STATUS, id=run_id)["runOrError"]["status"]

    def wait_for(self, run_id, status):
        eventually(lambda: self.status(run_id) == status, f"run {run_id} is {status}, it is {self.status(run_id)}")


@pytest.fixture
def dev(dagster, home):
    """`dagster dev`, with its UI and its daemon."""
    port = free_port()

    def start(url):
        dagster.environment |= {"ITEMS_BASE_URL": url, "ITEMS_LIMITS": "5/1 second"}
        dagster.start("dev", "--port", str(port))
        address = f"http://127.0.0.1:{port}"
        eventually(lambda: answers(f"{address}/server_info"), "dagster dev serves its UI")
        return DagsterUi(address)

    return start


def import_of(home, run_id):
    """The import that the run carried out."""
    [row] = rows(tracking(home), f"SELECT * FROM imports WHERE dagster_run_id = '{run_id}'")
    return row


def test_runs_of_the_ui_wait_for_each_other_and_a_terminated_one_cancels_its_import(dev, home, instance):
    with serve("--items", "40", "--limits", "none") as url:
        ui = dev(url)
        first = ui.launch("import_items")
        some_details(url, 2)
        second = ui.launch("import_items")
        eventually(lambda: ui.status(second) == "QUEUED", "the second run waits")
        assert ui.status(first) == "STARTED"
        assert ui.ask(TERMINATE, id=first)["terminateRun"]["__typename"] == "TerminateRunSuccess"
        ui.wait_for(first, "CANCELED")
        cancelled = import_of(home, first)
        assert (cancelled["status"], cancelled["failure_reason"]) == ("cancelled", "its Dagster run was terminated")
        ui.wait_for(second, "SUCCESS")
        completed = import_of(home, second)
        assert completed["status"] == "completed"
        assert completed["items_imported_count"] + completed["items_unchanged_count"] == 40
        assert completed["started_at"] > cancelled["ended_at"], "it has waited"
        check_the_observations(instance, second, completed["id"])
        third = ui.launch_again(second)
        ui.wait_for(third, "SUCCESS")
        own = import_of(home, third)
        assert (own["id"], own["items_unchanged_count"]) == (completed["id"] + 1, 40), "an import of its own"
        assert ui.staleness() == {str(number): "FRESH" for number in range(1, 41)}, "a list read again changes none"


def check_the_observations(instance, run_id, import_id):
    """How far an import of more than five seconds was, on what it fills."""
    observed = [
        event.asset_observation_data.asset_observation
        for event in events_of(instance, run_id, dg.DagsterEventType.ASSET_OBSERVATION)
    ]
    assert {each.asset_key.to_user_string() for each in observed} == {"enriched_items"}
    for each in observed:
        figures = {key: value.value for key, value in each.metadata.items()}
        done = figures["items_imported"]
        assert (figures["items_total"], figures["items_failed"]) == (40, 0)
        assert 0 < done < 40
        assert figures["eta_seconds"] > 0
        assert re.fullmatch(rf"Import {import_id}: \d+ of 40 items", each.description)
