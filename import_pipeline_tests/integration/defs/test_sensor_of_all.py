"""One sensor for many sources: what it requests, what it leaves out, and what one bad source cannot stop."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import UserDefinedType

from import_pipeline.defs.all_sources.attention import AT_LEAST_EVERY, Attention, Situation
from import_pipeline.defs.build import MOST_SENSORS, join_definitions
from import_pipeline.errors import SettingError
from import_pipeline.importer.control import requests
from import_pipeline.importer.installation import open_for
from import_pipeline.rules.status import ImportStatus
from import_pipeline.settings import load_settings
from import_pipeline.sources.items import ItemsSource
from import_pipeline.tracking.requests import RequestKind
from import_pipeline.tracking.scheduling import OpenImport
from import_pipeline_tests.acceptance.command_line import far_slot, rows, tracking

ROOT = Path(__file__).parents[3]
NOW = datetime(2030, 6, 1, 12, tzinfo=UTC)


def sources(count):
    """Return sources of classes of their own."""
    return [type(f"Source{each}", (ItemsSource,), {"name": f"source{each}"})() for each in range(count)]


@pytest.fixture
def instance(home):
    """The instance of the project's dagster.yaml, with its state in the test's folder."""
    with dg.DagsterInstance.from_config(str(ROOT)) as opened:
        yield opened


@pytest.fixture
def environment(home, monkeypatch):
    """Slots that are far away, and no API."""
    for each in range(MOST_SENSORS + 1):
        monkeypatch.setenv(f"SOURCE{each}_SLOTS", far_slot())
        monkeypatch.setenv(f"SOURCE{each}_LIMITS", "none")
    return monkeypatch


def named(definitions):
    """Return the names of jobs, sensors and schedules."""
    repository = definitions.get_repository_def()
    jobs = {each for each in repository.job_names if not each.startswith("__ASSET_JOB")}
    return jobs, {each.name for each in repository.sensor_defs}, {each.name for each in repository.schedule_defs}


def test_many_sources_have_three_objects_each_and_share_the_rest(environment):
    many = sources(MOST_SENSORS + 1)
    jobs, sensors, schedules = named(join_definitions(many, load_settings()))
    shared = {"request_import", "cancel_import", "retry_import"}
    assert jobs == {name for each in many for name in (f"import_{each.name}", f"enrich_{each.name}_shard")} | shared
    assert (sensors, schedules) == ({"imports_sensor"}, {f"{each.name}_slots" for each in many})
    assert len(jobs) + len(sensors) + len(schedules) <= 4 * len(many)


def test_few_sources_keep_their_own_sensors_and_jobs(environment):
    few = sources(MOST_SENSORS)
    jobs, sensors, _ = named(join_definitions(few, load_settings()))
    assert sensors == {f"{each.name}_sensor" for each in few}
    assert {f"request_{each.name}_import" for each in few} < jobs


def test_tenants_of_one_class_have_assets_and_jobs_of_their_own(environment):
    tenants = [ItemsSource(name="items_acme"), ItemsSource(name="items_beta")]
    definitions = join_definitions(tenants, load_settings())
    jobs, sensors, schedules = named(definitions)
    keys = {key.to_user_string() for key in definitions.resolve_all_asset_keys()}
    for each in tenants:
        assert {f"discovered_{each.name}", f"enriched_{each.name}"} <= keys
        assert f"import_{each.name}" in jobs
    assert (sensors, schedules) == (
        {"items_acme_sensor", "items_beta_sensor"},
        {"items_acme_slots", "items_beta_slots"},
    )


@pytest.mark.parametrize(("count", "setting", "expected"), [(2, "one", {"imports_sensor"}), (11, "each", 11)])
def test_a_setting_decides_for_any_number(environment, count, setting, expected):
    environment.setenv("DAGSTER_SENSORS", setting)
    _, sensors, _ = named(join_definitions(sources(count), load_settings()))
    assert expected in (sensors, len(sensors))


def test_any_other_word_is_refused(environment):
    environment.setenv("DAGSTER_SENSORS", "two")
    with pytest.raises(SettingError, match=r"^DAGSTER_SENSORS: expected one or each, got 'two'$"):
        load_settings()


def test_a_requested_import_is_launched_and_settled_sources_are_left_out(environment, instance, home):
    many = sources(MOST_SENSORS + 1)
    [sensor] = join_definitions(many, load_settings()).sensors

    def tick():
        return sensor.evaluate_tick(dg.build_sensor_context(instance=instance))

    first = tick()
    assert first.run_requests == []
    assert first.skip_message.startswith("source0: ")
    scheduled = rows(tracking(home), "SELECT source FROM imports WHERE status = 'scheduled'")
    assert sorted(row["source"] for row in scheduled) == sorted(each.name for each in many)
    tick()
    assert tick().skip_message == "No source has anything to do."
    with open_for(many[3]) as (installation, source):
        requests.request_import(installation, source, RequestKind.NEW, by="Ada")
    [launched] = tick().run_requests
    assert launched.job_name == "import_source3"
    assert "import_id" in launched.tags


def test_one_bad_source_does_not_stop_the_others(environment, instance):
    many = sources(MOST_SENSORS + 1)
    environment.setenv("SOURCE1_LIMITS", "many")
    environment.setenv("SOURCE2_SLOTS", "25")
    [sensor] = join_definitions(many, load_settings({})).sensors
    with pytest.raises(SettingError, match=r"^SOURCE1_LIMITS: "):
        sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
    with open_for(many[3]) as (installation, source):
        requests.request_import(installation, source, RequestKind.NEW, by="Ada")
    [launched] = sensor.evaluate_tick(dg.build_sensor_context(instance=instance)).run_requests
    assert launched.job_name == "import_source3"


class Base(DeclarativeBase):
    """The tables of the user."""


METHODS = {"__tablename__": "odd", "detail_request": lambda self: None, "populate": lambda self, detail: None}


class Unprintable(UserDefinedType):
    """A type of the user's own, whose method raises."""

    cache_ok = True
    is_broken = False

    def get_col_spec(self, **options):
        if self.is_broken:
            raise RuntimeError("no such type")
        return "TEXT"


def test_a_source_whose_table_raises_does_not_stop_the_others(environment, instance):
    many = sources(MOST_SENSORS + 1)
    many[1].model = type("Odd", (Base,), {"external_id": mapped_column(Unprintable(), primary_key=True)} | METHODS)
    [sensor] = join_definitions(many, load_settings({})).sensors
    environment.setattr(Unprintable, "is_broken", True)
    with pytest.raises(RuntimeError, match="no such type"):
        sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
    with open_for(many[3]) as (installation, source):
        requests.request_import(installation, source, RequestKind.NEW, by="Ada")
    [launched] = sensor.evaluate_tick(dg.build_sensor_context(instance=instance)).run_requests
    assert launched.job_name == "import_source3"


@pytest.mark.parametrize(
    ("job", "config", "written"),
    [
        ("request_import", {"mode": "new", "reason": "why"}, "source1 new why"),
        ("cancel_import", {}, None),
        ("retry_import", {}, None),
    ],
)
def test_control_jobs_find_the_source_that_their_configuration_names(environment, instance, home, job, config, written):
    definitions = join_definitions(sources(MOST_SENSORS + 1), load_settings())
    found = definitions.resolve_job_def(job)
    [operation] = [node.name for node in found.nodes]
    given = {"ops": {operation: {"config": {"source": "source1", **config}}}}
    done = found.execute_in_process(run_config=given, instance=instance)
    assert done.success
    said = " ".join(each.user_message for each in instance.all_logs(done.run_id))
    assert ("otherwise run `import-pipeline start-scheduled source1`" in said) is (written is not None)
    recorded = rows(tracking(home), "SELECT * FROM import_requests")
    made = [f"{row['source']} {row['wish']} {row['reason']}" for row in recorded]
    assert made == ([] if written is None else [written])
    unknown = {"ops": {operation: {"config": {"source": "nothing"}}}}
    failed = found.execute_in_process(run_config=unknown, instance=instance, raise_on_error=False)
    assert not failed.success


def situation(*waiting, **open_imports):
    """Return a situation; each source's import has this status and is due in that many seconds."""
    found = {
        name: (OpenImport(id=1, status=status, scheduled_at=NOW + timedelta(seconds=seconds)),)
        for name, (status, seconds) in open_imports.items()
    }
    return Situation(open_imports=found, waiting=frozenset(waiting))


LATER = (ImportStatus.SCHEDULED, 3600)
CASES = {
    "nothing has changed": (situation(a=LATER), True, 5, []),
    "its import is due": (situation(a=(ImportStatus.SCHEDULED, 0)), True, 5, ["a"]),
    "its import runs": (situation(a=(ImportStatus.RUNNING, -60)), True, 5, ["a"]),
    "its import has ended": (situation(), True, 5, ["a"]),
    "another slot": (situation(a=(ImportStatus.SCHEDULED, 7200)), True, 5, ["a"]),
    "a request waits": (situation("a", a=LATER), True, 5, ["a"]),
    "its schedule was switched off": (situation(a=LATER), False, 5, ["a"]),
    "a minute has passed": (situation(a=LATER), True, AT_LEAST_EVERY.total_seconds(), ["a"]),
    "the clock was set back": (situation(a=LATER), True, -3600, ["a"]),
    "another source is busy": (situation("b", a=LATER), True, 5, []),
}


@pytest.mark.parametrize("case", CASES)
def test_a_source_that_a_tick_left_with_nothing_to_do_is_left_out_until_something_changes(case):
    now, is_on, seconds, due = CASES[case]
    attention, before = Attention(), situation(a=LATER)
    assert attention.due(["a"], before, {"a": True}, NOW) == ["a"], "never ticked in this process"
    attention.settle("a", before, before, {"a": True}, NOW)
    assert attention.due(["a"], now, {"a": is_on}, NOW + timedelta(seconds=seconds)) == due


def test_a_tick_that_changed_something_is_repeated():
    attention, before, after = Attention(), situation(), situation(a=LATER)
    attention.settle("a", before, after, {"a": True}, NOW)
    assert attention.due(["a"], after, {"a": True}, NOW) == ["a"]


def test_the_source_that_waited_longest_is_first():
    attention, quiet = Attention(), situation(a=LATER, b=LATER, c=LATER)
    for seconds, name in enumerate(("b", "a")):
        attention.settle(name, quiet, quiet, {}, NOW + timedelta(seconds=seconds))
    assert attention.due(["a", "b", "c"], quiet, {}, NOW + AT_LEAST_EVERY * 2) == ["c", "b", "a"]
