"""The JSON API and the metrics of the panel."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from import_pipeline.rules.status import ImportStatus
from import_pipeline_tests.support.import_rows import NOON
from import_pipeline_tests.support.panel_client import add_event, add_import, add_items, open_panel

pytestmark = pytest.mark.anyio
RUNNING = {
    "status": "running",
    "started_at": NOON - timedelta(seconds=10),
    "items_count": 10,
    "items_imported_count": 4,
    "items_failed_count": 1,
    "requests_count": 6,
    "rate_limit_hits_count": 2,
    "total_sleep_seconds": 8.0,
    "checkpoint": {"seen": 10, "complete": True},
    "heartbeat_at": NOON - timedelta(seconds=5),
    "host": "a",
    "pid": 7,
}
RULES = Path(__file__).parents[3] / "deploy" / "prometheus-rules.yaml"


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (
            "status=bogus",
            "status: expected one of running, no worker, scheduled, overdue, schedule is off, completed, "
            "with failures, failed, cancelled, due, got 'bogus'",
        ),
        ("source=nope", "source: expected one of items, got 'nope'"),
        ("page=0", "page: expected a whole number from 1 to 999999, got '0'"),
        ("page=1000000", "page: expected a whole number from 1 to 999999, got '1000000'"),
        ("page=000000001" + "0" * 5000, f"page: expected a whole number from 1 to 999999, got '000000001{'0' * 31}'"),
    ],
)
async def test_the_api_refuses_invalid_parameters(home, asked, problem):
    async with open_panel(home) as panel:
        answer = await panel.get(f"/api/imports?{asked}")
        assert (answer.status_code, answer.json()) == (400, {"error": problem})
        assert (
            (await panel.get("/api/imports?sort=bogus")).json()["error"].startswith("sort: expected one of id, -id, ")
        )
        assert (await panel.get("/api/imports?sort=-hits&status=overdue&source=items&page=2")).status_code == 200


async def test_imports_as_json(home):
    async with open_panel(home) as panel:
        overdue = add_import(panel.installation, scheduled_at=NOON - timedelta(minutes=2))
        running = add_import(panel.installation, **RUNNING)
        found = (await panel.get("/api/imports?sort=id")).json()
        assert (found["total"], found["page"]) == (2, 1)
        assert [(each["import_id"], each["status"]) for each in found["imports"]] == [
            (overdue, "overdue"),
            (running, "running"),
        ]
        assert found["imports"][1]["percent"] == 50.0
        assert (await panel.get("/api/imports?status=failed")).json()["imports"] == []


async def test_one_import_as_json(home):
    async with open_panel(home, ITEMS_LIMITS="5/10 second") as panel:
        running = add_import(panel.installation, **RUNNING)
        again = {"status": "failed", "failure_reason": "503", "next_attempt_at": NOON + timedelta(seconds=30)}
        add_items(panel.installation, running, again, *[{}] * 4)
        add_event(panel.installation, running, "It began.")
        found = (await panel.get(f"/api/imports/{running}")).json()
        assert found["failures"] == [{"reason": "503", "count": 1, "waiting": 1, "example": "0"}]
        assert found["tiers"] == [{"amount": 5, "seconds": 10, "used": 0}]
        assert found["events"] == [{"at": "2030-01-01T12:00:00+00:00", "action": "said", "message": "It began."}]
        assert (found["requests_left"], found["retries_waiting"], found["eta_seconds"]) == (5, 1, 30.0)


async def test_metrics_in_prometheus_text_format(home):
    async with open_panel(home, ITEMS_LIMITS="5/10 second; 20/1 minute") as panel:
        add_import(panel.installation, **RUNNING | {"status": "completed", "ended_at": NOON})
        add_import(panel.installation, **RUNNING)
        add_import(panel.installation, scheduled_at=NOON - timedelta(minutes=2))
        answer = await panel.get("/metrics")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        samples = {
            (sample.name.removeprefix("import_pipeline_"), *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }
        assert {key: value for key, value in samples.items() if key[0] == "imports"} == {
            ("imports", "items", "completed"): 1,
            ("imports", "items", "running"): 1,
            ("imports", "items", "overdue"): 1,
            ("imports", "items", "scheduled"): 0,
        }
        assert samples["import_running", "items"] == 1
        assert samples["import_completed_timestamp_seconds", "items"] == NOON.timestamp()
        assert samples["import_heartbeat_timestamp_seconds", "items"] == NOON.timestamp() - 5
        assert samples["limiter_up", "items"] == 1
        assert samples["import_items_failed", "items"] == 1
        assert samples["import_rate_limit_hits", "items"] == 2
        assert samples["import_sleeping_seconds", "items"] == 8
        assert samples["permits_limit", "items", "5/10s"] == 5
        assert samples["permits_used", "items", "20/60s"] == 0
        assert samples["paused_seconds", "items"] == 0
        assert ("import_ideal_ratio", "items") not in samples  # known at the end only


async def test_an_import_of_some_items_changes_no_figure_of_the_full_import(home):
    async with open_panel(home) as panel:
        full = add_import(panel.installation, **RUNNING | {"status": "completed", "ended_at": NOON})
        add_items(panel.installation, full, {"external_id": "33", "status": "failed", "failure_reason": "404"})
        some = {"status": "completed", "started_at": NOON, "ended_at": NOON + timedelta(hours=1), "items_count": 1}
        add_import(panel.installation, **some, kind="selection")
        add_import(panel.installation, **some, metadata={"limit": 1})
        served = (await panel.get("/metrics")).text.splitlines()
        assert 'import_pipeline_import_items_failed{source="items"} 1.0' in served
        assert 'import_pipeline_import_items{source="items"} 10.0' in served
        [completed] = [
            line for line in served if line.startswith("import_pipeline_import_completed_timestamp_seconds{")
        ]
        assert float(completed.split()[-1]) == NOON.timestamp()
        retry = add_import(panel.installation, **some, kind="selection", retry_of=full)
        add_items(panel.installation, retry, {"external_id": "33", "status": "completed"})
        served = (await panel.get("/metrics")).text.splitlines()
        assert 'import_pipeline_import_items_failed{source="items"} 0.0' in served
        assert 'import_pipeline_import_items_imported{source="items"} 5.0' in served


async def test_alerts_use_served_metrics_and_describe_the_problem(home):
    async with open_panel(home, ITEMS_LIMITS="5/10 second") as panel:
        add_import(panel.installation, **RUNNING | {"status": "completed", "ended_at": NOON})
        ended = (await panel.get("/metrics")).text
        add_import(panel.installation, **RUNNING)
        running = (await panel.get("/metrics")).text
    served = {line.partition(" ")[0] for line in (ended + running).splitlines() if not line.startswith("#")}
    names = {series.partition("{")[0] for series in served}
    statuses = {*ImportStatus, "overdue"}
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]:
        asked = re.findall(r"import_pipeline_\w+", rule["expr"])
        assert asked, rule
        assert set(asked) <= names, rule
        assert set(re.findall(r'status="(\w+)"', rule["expr"])) <= statuses, rule
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"].keys() == {"summary", "description"}
        named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        given = {
            label for series in served if series.startswith(f"{asked[0]}{{") for label in re.findall(r"(\w+)=", series)
        }
        assert named <= given, rule


async def test_metrics_of_a_limiter_that_does_not_answer(home):
    async with open_panel(home, REDIS_URL="redis://127.0.0.1:9/0") as panel:
        metrics = (await panel.get("/metrics")).text
        assert 'import_pipeline_limiter_up{api="items"} 0.0' in metrics.splitlines()


async def test_metrics_of_nothing(home):
    async with open_panel(home) as panel:
        families = list(text_string_to_metric_families((await panel.get("/metrics")).text))
        assert next(each for each in families if each.name == "import_pipeline_imports").samples == []


async def test_a_probe_needs_no_login(home):
    async with open_panel(home, PANEL_TOKEN="a-token-of-some-length") as panel:
        answer = await panel.get("/health")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert (await panel.get("/api/imports")).status_code == 401


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nothing", "/api/imports/x"])
async def test_an_unknown_path_of_the_api_is_a_json_404(home, path):
    async with open_panel(home) as panel:
        answer = await panel.get(path)
        assert (answer.status_code, answer.json()) == (404, {"error": "This page does not exist."})
