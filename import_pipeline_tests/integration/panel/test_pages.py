"""Each page: its template and what is given to it."""

import re
from datetime import timedelta

import pytest

from import_pipeline.tracking import schedules, shards
from import_pipeline.tracking.workers import Worker
from import_pipeline_tests.support.import_rows import NOON
from import_pipeline_tests.support.panel_client import add_event, add_import, add_items, open_panel

pytestmark = pytest.mark.anyio
SECRET = "planted-secret-17"
ENDED = {
    "status": "completed",
    "started_at": NOON - timedelta(seconds=30),
    "ended_at": NOON - timedelta(seconds=10),
    "items_count": 3,
    "items_imported_count": 1,
    "items_failed_count": 2,
}


async def test_an_empty_list_says_what_to_do(home):
    async with open_panel(home) as panel:
        answer = await panel.get("/")
        assert (answer.status_code, panel.drawn.template) == (200, "list.html")
        assert (panel.drawn.context["views"], panel.drawn.context["total"]) == ([], 0)
        assert "No imports yet." in answer.text
        await panel.get("/?status=failed")
        assert panel.drawn.context["query"].status == "failed"


async def test_the_list_filters_sorts_and_pages(home):
    async with open_panel(home) as panel:
        due = [add_import(panel.installation, scheduled_at=NOON + timedelta(hours=n), slot_at=None) for n in (-1, 1)]
        ended = [add_import(panel.installation, **ENDED, rate_limit_hits_count=n) for n in range(30)]

        async def shown(path):
            await panel.get(path)
            return [view.row.id for view in panel.drawn.context["views"]]

        assert (await shown("/"))[0] == due[1]  # what comes first
        assert await shown("/?status=overdue") == [due[0]]
        assert await shown("/?status=scheduled") == [due[1]]
        assert await shown("/?status=completed&sort=-hits") == ended[:4:-1]
        assert await shown("/?status=completed&sort=-hits&page=2") == ended[4::-1]
        assert await shown("/?status=completed&page=9") == []
        assert await shown("/?source=orders") == await shown("/")  # no such source
        assert [tab.count for tab in panel.drawn.context["statuses"]] == [32, 0, 1, 1, 30, None, 0, 0]
        assert len(await shown("/?status=with+failures")) == 25


async def test_the_column_duration_sorts_by_duration(home):
    """Neither by the time of sleep nor by text."""
    async with open_panel(home) as panel:
        slept = {9.0: 0.0, 71.0: 1.0, 0.5: 40.0}
        for elapsed, sleep in slept.items():
            ended = ENDED | {"heartbeat_at": NOON, "elapsed_seconds": elapsed, "total_sleep_seconds": sleep}
            add_import(panel.installation, **ended)
        await panel.get("/")
        (column,) = (column for column in panel.drawn.context["columns"] if column.text == "Duration")
        await panel.get(column.url)
        shown = [view.figures.duration_seconds for view in panel.drawn.context["views"]]
        assert shown == [71.0, 9.0, 0.5]


async def test_a_completed_import_with_failed_items_is_amber_and_has_a_tab(home):
    async with open_panel(home) as panel:
        assert "No imports with failures." in (await panel.get("/?status=with+failures")).text
        add_import(panel.installation, **ENDED | {"items_failed_count": 0})
        some = add_import(panel.installation, **ENDED)
        listed = (await panel.get("/?status=with+failures")).text
        assert [view.row.id for view in panel.drawn.context["views"]] == [some]
        page = (await panel.get(f"/imports/{some}")).text
        assert '3 of 3 items done, <span class="bad-text">2 failed</span>' in page
        for page in (listed, (await panel.get(f"/imports/{some}")).text):
            assert re.search(r'<span class="badge with-failures">.*?</svg>completed, 2 failed</span>', page, re.S)
        served = (await panel.get("/api/imports?status=with+failures")).json()
        assert [each["status"] for each in served["imports"]] == ["completed"]


async def test_an_import_is_due_for_a_minute_then_overdue_with_a_warning(home):
    async with open_panel(home) as panel:
        waits = add_import(panel.installation, scheduled_at=NOON - timedelta(seconds=5))
        late = add_import(panel.installation, scheduled_at=NOON - timedelta(seconds=61))
        pages = [(await panel.get(f"/imports/{each}")).text for each in (waits, late)]
        assert ['<p class="notice"><strong>Due:' in page for page in pages] == [True, False]
        assert ['<p class="notice warn"><strong>Overdue:' in page for page in pages] == [False, True]
        await panel.get("/?status=scheduled")
        assert [view.status for view in panel.drawn.context["views"]] == ["due"]
        assert panel.drawn.context["refresh"] == 1000


async def test_an_import_with_its_schedule_off_is_not_overdue(home):
    async with open_panel(home) as panel:
        late = NOON - timedelta(hours=1)
        of_slot = add_import(panel.installation, scheduled_at=late, slot_at=late)
        asked = add_import(panel.installation, scheduled_at=late)
        with panel.installation.database.write() as connection:
            schedules.record_off(connection, "items", NOON)

        async def shown(path):
            await panel.get(path)
            return [(view.row.id, view.status) for view in panel.drawn.context["views"]]

        assert await shown("/?status=schedule+is+off") == [(of_slot, "schedule is off")]
        assert await shown("/?status=overdue") == [(asked, "overdue")], "what a person asked for is not held back"
        tabs = {tab.text: tab.count for tab in panel.drawn.context["statuses"]}
        assert (tabs["schedule is off"], tabs["overdue"], tabs["scheduled"]) == (1, 1, 0)
        assert "<strong>The schedule is off:</strong>" in (await panel.get(f"/imports/{of_slot}")).text
        scraped = (await panel.get("/metrics")).text
        assert 'import_pipeline_imports{source="items",status="schedule is off"} 1.0' in scraped
        assert 'import_pipeline_schedule_on{source="items"} 0.0' in scraped
        with panel.installation.database.write() as connection:
            assert schedules.record_on(connection, "items") == NOON
        assert {status for _, status in await shown("/")} == {"overdue"}
        assert 'import_pipeline_schedule_on{source="items"} 1.0' in (await panel.get("/metrics")).text


async def test_an_import_s_page_has_it_all(home):
    async with open_panel(home, DAGSTER_URL="https://dagster.example.com") as panel:
        ended = add_import(panel.installation, **ENDED, dagster_run_id="ab/c", failure_reason=None)
        failed = {"status": "failed", "failure_count": 1, "failure_reason": "404", "metadata": {"payload": '{"a": 1}'}}
        add_items(panel.installation, ended, failed, failed, {"status": "completed", "completed_at": NOON})
        add_event(panel.installation, ended, "It began.")
        answer = await panel.get(f"/imports/{ended}")
        context = panel.drawn.context
        assert (answer.status_code, panel.drawn.template) == (200, "import.html")
        assert [(group.reason, group.count) for group in context["groups"]] == [("404", 2)]
        assert [item.external_id for item in context["failures"]] == ["0", "1"]
        assert answer.text.count("<pre>{&#34;a&#34;: 1}</pre>") == 2
        assert [said for _, _, said in context["events"]] == ["It began."]
        assert (context["actions"], context["leftovers"].items) == (("retry", "delete"), 2)
        assert context["run_url"] == "https://dagster.example.com/runs/ab%2Fc"
        assert context["refresh"] == 0  # it will not change any more
        assert (context["forecast"], context["usage"]) == (None, None)
        assert 'data-refresh="' not in answer.text


async def test_the_shards_of_an_import_are_shown(home):
    async with open_panel(home) as panel:
        running = add_import(panel.installation, status="running", started_at=NOON, host="a", pid=1, heartbeat_at=NOON)
        with panel.installation.database.write() as connection:
            shards.request_run(connection, running, 3, NOON, None)
            shards.acquire(connection, running, 2, Worker(id="w", host="machine-b", pid=42), NOON, None)
        answer = await panel.get(f"/imports/{running}")
        assert [shard.number for shard in panel.drawn.context["shards"]] == [2, 3]
        assert "process 42 on machine-b" in answer.text
        assert "requested" in answer.text


async def test_a_stalled_import_is_shown_with_what_happens_next(home):
    gone = {"status": "running", "started_at": NOON, "heartbeat_at": NOON - timedelta(hours=1), "host": "a", "pid": 7}
    async with open_panel(home) as panel:
        left = add_import(panel.installation, **gone)
        add_import(panel.installation, **ENDED)
        assert "</svg>no worker</span>" in (await panel.get("/")).text
        tabs = {tab.text: (tab.url, tab.count) for tab in panel.drawn.context["statuses"]}
        assert (tabs["all"][1], tabs["running"][1], tabs["no worker"]) == (2, 1, ("/?status=no+worker", 1))
        await panel.get(tabs["no worker"][0])
        assert [view.row.id for view in panel.drawn.context["views"]] == [left]
        page = (await panel.get(f"/imports/{left}")).text
        assert "</svg>no worker</span>" in page
        assert "<strong>No worker:</strong> process 7 on a has sent no heartbeat for over 60 s." in page
        assert "`import-pipeline run items` resumes it immediately (resume 1 of 3 without progress)." in page
        assert (await panel.get(f"/api/imports/{left}")).json()["has_no_worker"] is True


async def test_a_stalled_import_has_no_forecast(home):
    running = {"status": "running", "started_at": NOON, "items_count": 30, "checkpoint": {"seen": 30, "complete": True}}
    async with open_panel(home) as panel:
        number = add_import(panel.installation, **running, heartbeat_at=NOON, host="a", pid=7)
        add_items(panel.installation, number, *[{}] * 30)
        assert "<span>about" in (await panel.get(f"/imports/{number}")).text
        assert 'import_left_seconds{source="items"}' in (await panel.get("/metrics")).text
        panel.installation.clock.advance(60)
        page = (await panel.get(f"/imports/{number}")).text
        assert ("<span>about" in page, "Ends about" in page, "stalled" in page) == (False, False, True)
        assert 'import_left_seconds{source="items"}' not in (await panel.get("/metrics")).text


async def test_an_import_that_waits_for_the_store_promises_to_continue_by_itself_only_while_it_has_a_worker(home):
    waits = {"reason": "the store is silent", "until": None}
    running = {"status": "running", "started_at": NOON, "heartbeat_at": NOON}
    async with open_panel(home) as panel:
        watched = add_import(panel.installation, **running, host="a", pid=7)
        add_event(panel.installation, watched, "The store is silent.", **waits)
        page = (await panel.get(f"/imports/{watched}")).text
        assert ("the import resumes by itself" in page, "<strong>No worker:" in page) == (True, False)
        left = add_import(panel.installation, **running, source="orders")
        add_event(panel.installation, left, "The store is silent.", **waits)
        page = (await panel.get(f"/imports/{left}")).text
        assert ("the import resumes by itself" in page, "<strong>No worker:" in page) == (False, True)


async def test_a_running_import_is_shown_with_its_permits_and_time_left(home):
    async with open_panel(home, ITEMS_LIMITS="5/10 second") as panel:
        running = add_import(
            panel.installation,
            heartbeat_at=NOON,
            host="a",
            pid=7,
            status="running",
            started_at=NOON - timedelta(seconds=5),
            items_count=10,
            items_imported_count=4,
            requests_count=5,
            checkpoint={"seen": 10, "complete": True},
        )
        add_items(panel.installation, running, *[{"status": "pending"}] * 6)
        answer = await panel.get(f"/imports/{running}")
        context = panel.drawn.context
        assert context["refresh"] == 1000
        assert [(tier.amount, tier.seconds, tier.used) for tier in context["usage"].tiers] == [(5, 10, 0)]
        assert context["forecast"].requests_left == 6
        assert context["forecast"].eta_seconds == pytest.approx(10, abs=0.2)
        assert 'role="meter"' in answer.text


async def test_the_script_gets_only_the_main_part(home):
    async with open_panel(home) as panel:
        whole = await panel.get("/")
        part = await panel.get("/", **{"X-Panel-Fragment": "1"})
        assert whole.text.startswith("<!doctype html>")
        assert part.text.startswith("<main ")
        assert part.headers["vary"] == "x-panel-fragment"
        assert part.text.strip() in whole.text.replace("  <main", "<main").replace("  </main", "</main")


@pytest.mark.parametrize(
    ("path", "status", "template"),
    [
        ("/imports/99", 404, "problem.html"),
        ("/imports/99/cancel", 404, "problem.html"),
        (f"/imports/{'9' * 5000}", 404, "problem.html"),
        ("/nothing", 404, "problem.html"),
        ("/api/imports/99", 404, ""),
        ("/run", 200, "run.html"),
        ("/login", 200, "login.html"),
    ],
)
async def test_the_other_pages(home, path, status, template):
    async with open_panel(home) as panel:
        answer = await panel.get(path)
        assert (answer.status_code, panel.drawn.template) == (status, template)


async def test_a_confirmation_says_why_an_action_is_impossible(home):
    async with open_panel(home) as panel:
        ended = add_import(panel.installation, **ENDED)
        answer = await panel.get(f"/imports/{ended}/cancel")
        assert panel.drawn.template == "confirm.html"
        assert f"Import {ended} is completed: it has already ended." in answer.text
        assert "<form" not in answer.text
        assert (await panel.get(f"/imports/{ended}/explode")).status_code == 404


async def test_a_database_that_does_not_answer_is_a_page_that_says_so(home):
    async with open_panel(home) as panel:
        panel.installation.database.close()
        for path in home.glob("import_pipeline.db*"):
            path.unlink()
        (home / "import_pipeline.db").write_bytes(b"no database at all, whatever its name says" * 50)
        answer = await panel.get("/")
        assert (answer.status_code, panel.drawn.template) == (503, "problem.html")
        assert (await panel.get("/api/imports")).status_code == 503


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; DROP TABLE imports; --",
    "</main><a href=javascript:alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe\N{PILE OF POO}",
]


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_nothing_from_outside_is_more_than_text(home, hostile):
    async with open_panel(home) as panel:
        broken = ENDED | {"status": "failed"}
        reasons = {"failure_reason": hostile, "incomplete_reason": hostile, "requested_by": hostile, "host": hostile}
        ended = add_import(panel.installation, **broken, **reasons, dagster_run_id=hostile[:64])
        failed = {"status": "failed", "external_id": hostile, "failure_reason": hostile}
        add_items(panel.installation, ended, failed | {"metadata": {"payload": hostile}})
        add_event(panel.installation, ended, hostile)
        for path in (
            "/",
            f"/imports/{ended}",
            f"/imports/{ended}/delete",
            f"/?status={hostile}",
            f"/login?next={hostile}",
        ):
            text = (await panel.get(path)).text
            assert "<script>alert" not in text
            assert "<img" not in text
            assert "javascript:" not in text.replace("&lt;/main&gt;&lt;a href=javascript:alert(1)&gt;", "")
            assert text.count("</main>") == 1
            assert "49{%" not in text


async def test_no_secret_is_shown_anywhere(home):
    async with open_panel(home, ITEMS_TOKEN=SECRET) as panel:
        text = f"GET https://me:{SECRET}@api.test/items?api_key=hidden-key failed: Bearer hidden-bearer {SECRET}"
        ended = add_import(panel.installation, **ENDED, failure_reason=text, incomplete_reason=text)
        failed = {"status": "failed", "external_id": text[:255], "failure_reason": text}
        add_items(panel.installation, ended, failed | {"metadata": {"payload": text}})
        add_event(panel.installation, ended, text)
        for path in ("/", f"/imports/{ended}", "/api/imports", f"/api/imports/{ended}", "/metrics"):
            text = (await panel.get(path)).text
            for secret in (SECRET, "hidden-key", "hidden-bearer"):
                assert secret not in text, path
