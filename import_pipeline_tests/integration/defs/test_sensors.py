"""The sensors, evaluated as the daemon does it, after real imports."""

import logging
from pathlib import Path

import dagster as dg
import pytest

from import_pipeline import run_import
from import_pipeline.defs.build import build_import_definitions
from import_pipeline.examples.application_items import after_items
from import_pipeline.importer.control import requests
from import_pipeline.importer.installation import open_for
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.lifecycle.take_over import lease_of
from import_pipeline.rules.status import Trigger
from import_pipeline.sources.items import ItemsSource
from import_pipeline.tracking import imports, leases, transitions
from import_pipeline.tracking.requests import RequestKind
from import_pipeline.tracking.workers import this_process
from import_pipeline_tests.acceptance.command_line import far_slot, rows, tracking
from import_pipeline_tests.support.imports import FREE, demo_api, served
from import_pipeline_tests.support.webhook_receiver import WebhookReceiver

ROOT = Path(__file__).parents[3]


@pytest.fixture
def instance(home):
    """The instance of the project's dagster.yaml, with its state in the test's folder."""
    with dg.DagsterInstance.from_config(str(ROOT)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def items_settings(home, monkeypatch):
    monkeypatch.setenv("ITEMS_LIMITS", FREE)
    monkeypatch.setenv("ITEMS_SLOTS", far_slot())
    monkeypatch.setenv("ITEMS_BASE_URL", "http://127.0.0.1:9")
    return monkeypatch


class Downstream:
    """The example's asset and sensor; the cursor is kept between two ticks."""

    def __init__(self, instance):
        self.instance, self.cursor = instance, None
        definitions = after_items([ItemsSource()])
        [self.asset], [self.sensor] = definitions.assets, definitions.sensors

    def evaluate(self):
        """Return the imports that the requested run follows, as its tag lists them; None if no run is requested."""
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        evaluated = self.sensor.evaluate_tick(context)
        self.cursor = evaluated.cursor or self.cursor
        tags = [request.tags["completed_imports"] for request in evaluated.run_requests]
        assert len(tags) <= 1
        return tags[0] if tags else None

    def materialize(self, followed):
        """Return the number of rows that the run writes."""
        result = dg.materialize([self.asset], instance=self.instance, tags={"completed_imports": followed or ""})
        [event] = result.asset_materializations_for_node("items")
        return event.metadata["rows_written"].value


def test_the_example_follows_completed_imports_with_their_items(home, instance, items_settings):
    downstream = Downstream(instance)
    assert downstream.evaluate() is None
    with demo_api(items=4, faults=("3=status:422*1",)) as url:
        items_settings.setenv("ITEMS_BASE_URL", url)
        assert run_import("items").items_failed_count == 1
        assert (downstream.evaluate(), downstream.evaluate()) == ("1", None)
        assert downstream.materialize("1") == 3
        assert run_import("items", only=["3"]).status == "completed"
        assert downstream.evaluate() == "2"
        assert downstream.materialize("2") == 1
    items_settings.setenv("ITEMS_BASE_URL", "http://127.0.0.1:9")
    assert run_import("items").status == "failed"
    assert downstream.evaluate() is None
    assert downstream.materialize(None) == 4, "a person means everything"
    stored = rows(tracking(home), "SELECT external_id, price_cents > 0 AS has_price FROM items ORDER BY external_id")
    assert [tuple(row.values()) for row in stored] == [(each, 1) for each in "1234"]


def test_the_sensor_sends_notices_that_no_worker_could_send(instance, items_settings):
    assert run_import("items").status == "failed"
    ear = WebhookReceiver()
    [look] = build_import_definitions(ItemsSource()).sensors or []
    with served(ear.app) as url:
        items_settings.setenv("ITEMS_NOTIFY_URL", f"{url}/hook")
        for _ in range(2):
            look.evaluate_tick(dg.build_sensor_context(instance=instance))
    assert [(path, body["occasion"], body["import_id"]) for path, _, body in ear.heard] == [("/hook", "failed", 1)]


class LogLines(logging.Handler):
    """Keeps the lines of a log."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def test_a_tick_that_requests_a_run_logs_its_reason(instance):
    [look] = build_import_definitions(ItemsSource()).sensors or []
    loud, quiet = LogLines(), LogLines()
    with open_for(ItemsSource()) as (installation, source):
        requests.request_import(installation, source, RequestKind.NEW, by="Ada")
    contexts = [dg.build_sensor_context(instance=instance) for _ in range(2)]
    for context, handler in zip(contexts, (loud, quiet), strict=True):
        context.log.addHandler(handler)
    asking, waiting = [look.evaluate_tick(context) for context in contexts]
    assert [request.job_name for request in asking.run_requests] == ["import_items"]
    assert any("Ada" in line for line in loud.lines), loud.lines
    assert (waiting.run_requests, quiet.lines) == ([], [])
    assert waiting.skip_message


def test_the_sensor_requests_runs_of_shards_that_the_queue_does_not_hold_back(instance, items_settings):
    items_settings.setenv("ITEMS_SHARDS", "3")
    [look] = build_import_definitions(ItemsSource()).sensors or []
    source = ItemsSource()
    with open_for(source) as (installation, found), installation.database.write() as connection:
        now = installation.clock.now()
        made = imports.create(connection, new_import(found, Trigger.CLI), now)
        row = transitions.start(connection, made.id, this_process(), now, None)
        lease = lease_of(row, found, this_process())
        leases.write(connection, lease, now, checkpoint={"page": 1}, items_count=1000)
    first, second = [look.evaluate_tick(dg.build_sensor_context(instance=instance)) for _ in range(2)]
    assert [(each.job_name, each.tags["import_id"], each.tags["import_shard"]) for each in first.run_requests] == [
        ("enrich_items_shard", "1", "2"),
        ("enrich_items_shard", "1", "3"),
    ]
    assert all("import_source" not in each.tags for each in first.run_requests)
    assert second.run_requests == []
