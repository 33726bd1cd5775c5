"""Every action: what it does to the rows, where it leads, and who is refused."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import update

from import_pipeline.importer.control.scheduling import tick
from import_pipeline.importer.lifecycle.take_over import start_or_take_over
from import_pipeline.panel.security import HEADERS, LOGIN, SESSION
from import_pipeline.ratelimit import open_permits
from import_pipeline.ratelimit.protocol import SECOND, ExchangeRequest, Outcome, Settlement
from import_pipeline.tracking import imports, requests
from import_pipeline.tracking.tables import imports as imports_table
from import_pipeline.tracking.workers import this_process
from import_pipeline_tests.support.import_rows import NOON
from import_pipeline_tests.support.panel_client import HOST, add_import, add_items, open_panel

pytestmark = pytest.mark.anyio
TOKEN = "sixteen-letters!"
ENDED = {"status": "completed", "started_at": NOON - timedelta(seconds=30), "ended_at": NOON}


def row(panel, import_id):
    with panel.installation.database.read() as connection:
        return imports.get(connection, import_id)


def waiting_requests(panel):
    with panel.installation.database.read() as connection:
        return [(each.kind, each.fresh, each.reason) for each in requests.waiting(connection, "items")]


@pytest.mark.parametrize(
    ("form", "leads_to", "recorded"),
    [
        ({"mode": "new"}, "/?done=new&request=1", ("new", False, None)),
        ({"mode": "new", "fresh": "yes", "reason": " why "}, "/?done=new&request=1", ("new", True, "why")),
        ({"mode": "reschedule"}, "/?done=reschedule&request=1", ("reschedule", False, None)),
        ({"mode": "reschedule", "fresh": "yes"}, "/?done=reschedule&request=1", ("reschedule", False, None)),
    ],
)
async def test_run_import_records_the_request(home, form, leads_to, recorded):
    async with open_panel(home) as panel:
        answer = await panel.post("/run", {"source": "items", **form})
        assert (answer.status_code, answer.headers["location"]) == (303, leads_to)
        assert waiting_requests(panel) == [recorded]
        page = await panel.get(leads_to)
        assert "If Dagster's daemon runs, it " in panel.drawn.context["notice"]
        assert "start-scheduled items" in page.text


async def test_two_people_who_have_the_same_form_open_move_one_slot(home):
    async with open_panel(home) as panel:
        installation = panel.installation
        source = installation.source("items")
        page = (await panel.get("/run")).text
        slot = re.search(r'name="slot:items" value="([^"]+)"', page)[1]
        form = {"source": "items", "mode": "reschedule", "slot:items": slot}
        assert (await panel.post("/run", form)).headers["location"] == "/?done=reschedule&request=1"
        [launch] = tick(installation, source).launches
        start_or_take_over(installation.database, source, launch.import_id, this_process(), installation.clock, None)
        with installation.database.write() as connection:
            connection.execute(update(imports_table).values(status="completed", ended_at=NOON))
        assert (await panel.post("/run", form)).headers["location"] == "/?done=already&request=2"
        assert tick(installation, source).launches == []
        assert row(panel, launch.import_id).slot_at.isoformat() == slot
        answer = await panel.post("/run", form | {"slot:items": "2030-13-01"})
        assert (answer.status_code, panel.drawn.template) == (409, "problem.html")


async def test_an_action_already_done_by_another_user_is_reported(home):
    async with open_panel(home) as panel:
        running = add_import(panel.installation, status="running", started_at=NOON, heartbeat_at=NOON)
        ended = add_import(panel.installation, **ENDED, items_failed_count=1)
        add_items(panel.installation, ended, {"status": "failed"})
        last = add_import(panel.installation, **ENDED)
        for path, first, second in (
            (
                f"/imports/{running}/cancel",
                f"/imports/{running}?done=cancel",
                f"/imports/{running}?done=cancel-already",
            ),
            (f"/imports/{ended}/retry", f"/imports/{last + 1}?done=retry", f"/imports/{last + 1}?done=retry-already"),
            (f"/imports/{last}/delete", "/?done=delete", "/?done=delete-already"),
            (f"/imports/{running}/resume", f"/imports/{running}?done=resume-already", None),
        ):
            assert (await panel.post(path)).headers["location"] == first
            if second is not None:
                assert (await panel.post(path)).headers["location"] == second
                await panel.get(second)
                assert "already" in panel.drawn.context["notice"]


async def test_cancel_retry_and_delete(home):
    async with open_panel(home) as panel:
        scheduled = add_import(panel.installation)
        assert (await panel.post(f"/imports/{scheduled}/cancel")).headers["location"] == (
            f"/imports/{scheduled}?done=cancel"
        )
        assert row(panel, scheduled).status == "cancelled"
        running = add_import(panel.installation, status="running", started_at=NOON)
        await panel.post(f"/imports/{running}/cancel")
        assert row(panel, running).cancel_requested_at == NOON
        ended = add_import(panel.installation, **ENDED, items_failed_count=1)
        add_items(panel.installation, ended, {"status": "failed"})
        made = (await panel.post(f"/imports/{ended}/retry")).headers["location"]
        retrying = int(made.removeprefix("/imports/").partition("?")[0])
        assert row(panel, retrying).retry_of == ended
        assert (await panel.post(f"/imports/{ended}/delete")).status_code == 409  # its rows are needed yet
        await panel.post(f"/imports/{retrying}/cancel")
        assert (await panel.post(f"/imports/{ended}/delete")).headers["location"] == "/?done=delete"
        assert (await panel.get(f"/imports/{ended}")).status_code == 404


async def test_a_pause_is_shown_and_lifted(home):
    async with open_panel(home) as panel:
        settings = panel.installation.settings
        permits = open_permits(settings.redis_url, settings.limits_path)
        settled = (Settlement(permit="p", outcome=Outcome.REFUSED, wait=3600 * SECOND),)
        permits.exchange(ExchangeRequest(api="items", process="worker", tiers=(), settled=settled))
        permits.close()
        running = add_import(
            panel.installation,
            status="running",
            started_at=NOON,
            heartbeat_at=NOON,
            blocked_until=NOON + timedelta(hours=1),
        )
        failed = add_import(panel.installation, status="failed", started_at=NOON, ended_at=NOON)
        completed = add_import(panel.installation, **ENDED)
        for number, actions in (
            (running, ("resume", "cancel")),
            (failed, ("resume", "delete")),
            (completed, ("delete",)),
        ):
            await panel.get(f"/imports/{number}")
            assert panel.drawn.context["actions"] == actions
        assert "Lift the pause" in (await panel.get(f"/imports/{running}/resume")).text
        answer = await panel.post(f"/imports/{running}/resume")
        assert answer.headers["location"] == f"/imports/{running}?done=resume"
        assert row(panel, running).blocked_until is None
        await panel.get(answer.headers["location"])
        assert panel.drawn.context["notice"].startswith("The pause of the API is lifted.")
        panel.installation.clock.advance(1)
        await panel.get(f"/imports/{failed}")
        assert panel.drawn.context["actions"] == ("delete",)
        assert "is not paused" in (await panel.get(f"/imports/{failed}/resume")).text


@pytest.mark.parametrize(("silent_for", "stops"), [(0, True), (60, False)])
async def test_cancelling_promises_that_requests_stop_only_with_a_worker(home, silent_for, stops):
    heard_at = NOON - timedelta(seconds=silent_for)
    async with open_panel(home) as panel:
        running = add_import(
            panel.installation, status="running", started_at=heard_at, heartbeat_at=heard_at, host="a", pid=7
        )
        page = (await panel.get(f"/imports/{running}/cancel")).text
        assert ("within two seconds" in page, "start-scheduled items" in page) == (stops, not stops)
        await panel.post(f"/imports/{running}/cancel")
        page = (await panel.get(f"/imports/{running}")).text
        assert ("within two seconds" in page, "start-scheduled items" in page) == (stops, not stops)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/imports/1/cancel", 409),
        ("/imports/1/retry", 409),
        ("/imports/99/delete", 404),
        ("/imports/99999999999999999999/retry", 404),
        ("/imports/2/delete", 409),
    ],
)
async def test_an_impossible_action_is_a_page_with_the_reason(home, path, status):
    async with open_panel(home) as panel:
        add_import(panel.installation, **ENDED)
        add_import(panel.installation)
        answer = await panel.post(path)
        assert (answer.status_code, panel.drawn.template) == (status, "problem.html")


async def test_an_unknown_source_is_refused(home):
    async with open_panel(home) as panel:
        assert (await panel.post("/run", {"source": "orders"})).status_code == 409
        assert waiting_requests(panel) == []


ACTIONS = ["/run", "/imports/1/cancel", "/imports/1/retry", "/imports/1/delete", "/login", "/logout"]


@pytest.mark.parametrize("path", ACTIONS)
@pytest.mark.parametrize(
    ("form", "headers", "status"),
    [
        ({}, {"origin": "http://evil.example.com"}, 403),
        ({}, {"origin": "null"}, 403),
        ({}, {"origin": ""}, 403),  # it says nothing at all of where it comes from
        ({}, {"origin": "", "sec_fetch_site": "cross-site"}, 403),
        ({"csrf": ""}, {}, 403),
        ({"csrf": "0" * 64}, {}, 403),
        ({}, {"content_type": "text/plain"}, 415),
        ({"reason": "x" * 20_000}, {}, 413),
        ({}, {"host": "evil.example.com", "origin": "http://evil.example.com"}, 421),
    ],
)
async def test_a_foreign_form_does_nothing(home, path, form, headers, status):
    async with open_panel(home) as panel:
        add_import(panel.installation)
        answer = await panel.post(path, {"source": "items", "mode": "new", **form}, **headers)
        assert answer.status_code == status
        assert row(panel, 1).status == "scheduled"
        assert waiting_requests(panel) == []


async def test_another_session_s_token_is_no_use(home):
    async with open_panel(home) as panel:
        await panel.get("/run")
        stolen = panel.drawn.context["csrf"]
        panel.client.cookies.clear()
        await panel.get("/run")
        assert panel.drawn.context["csrf"] != stolen
        assert (await panel.post("/run", {"source": "items", "csrf": stolen})).status_code == 403


@pytest.mark.parametrize("path", ACTIONS[:4])
async def test_a_link_does_nothing(home, path):
    async with open_panel(home) as panel:
        add_import(panel.installation)
        assert (await panel.get(path)).status_code == 200  # only asks whether it shall be
        assert (await panel.client.put(path)).status_code == 405
        assert row(panel, 1).status == "scheduled"
        assert waiting_requests(panel) == []


@pytest.mark.parametrize("path", ["/", "/run", "/login", "/nothing", "/api/imports", "/metrics", "/static/panel.js"])
async def test_every_answer_has_the_headers(home, path):
    async with open_panel(home) as panel:
        answer = await panel.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["cache-control"] == ("no-cache" if path.startswith("/static/") else "no-store")


@pytest.mark.parametrize("path", ["/", "/run", "/imports/1", "/imports/1/cancel", "/login"])
async def test_no_page_has_a_script_or_style_of_its_own(home, path):
    async with open_panel(home) as panel:
        add_import(panel.installation)
        text = (await panel.get(path)).text
        assert "<style" not in text
        assert " style=" not in text
        assert " on" not in {part[:3] for part in text.split("<")}
        assert text.count("<script") == text.count('<script src="/static/panel.js"') == 1


async def test_the_session_s_cookie_is_set_once(home):
    async with open_panel(home) as panel:
        first = await panel.get("/")
        assert first.headers["set-cookie"].startswith(f"{SESSION}=")
        assert first.headers["set-cookie"].endswith("; Path=/; HttpOnly; SameSite=Strict")
        assert "set-cookie" not in (await panel.get("/")).headers


async def test_with_a_token_nothing_is_shown_before_the_login(home):
    async with open_panel(home, PANEL_HOST="0.0.0.0", PANEL_TOKEN=TOKEN) as panel:
        add_import(panel.installation)
        answer = await panel.get("/imports/1?done=new")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fimports%2F1%3Fdone%3Dnew")
        for path in ("/api/imports", "/metrics", "/api/imports/1"):
            answer = await panel.get(path)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert (await panel.get("/", **{"X-Panel-Fragment": "1"})).status_code == 401
        assert (await panel.post("/imports/1/cancel")).status_code == 401
        assert row(panel, 1).status == "scheduled"
        assert (await panel.get("/static/panel.css")).status_code == 200
        assert (await panel.get("/api/imports", Authorization=f"Bearer {TOKEN}")).status_code == 200


async def test_the_login_is_remembered_and_forgotten(home):
    async with open_panel(home, PANEL_HOST="0.0.0.0", PANEL_TOKEN=TOKEN) as panel:
        await panel.get("/login")
        wrong = await panel.post("/login", {"token": "wrong"})
        assert (wrong.status_code, panel.drawn.context["failed"]) == (403, True)
        assert panel.installation.clock.sleeps == [0.5]
        right = await panel.post("/login", {"token": TOKEN, "next": "/imports/7"})
        assert (right.status_code, right.headers["location"]) == (303, "/imports/7")
        assert TOKEN not in right.headers["set-cookie"]
        assert (await panel.get("/")).status_code == 200
        assert panel.drawn.context["can_log_out"]
        panel.installation.clock.advance(13 * 3600)
        assert (await panel.get("/")).status_code == 303
        await panel.get("/login")
        await panel.post("/login", {"token": TOKEN, "next": "//evil.example.com"})
        await panel.get("/")
        copied = panel.client.cookies[LOGIN]
        await panel.post("/logout")
        assert LOGIN not in panel.client.cookies
        assert (await panel.get("/")).status_code == 303
        assert (await panel.get("/", cookie=f"{LOGIN}={copied}")).status_code == 303
        assert (await panel.get("/api/imports", authorization=f"Bearer {TOKEN}")).status_code == 200


async def test_the_host_is_checked_on_every_page(home):
    async with open_panel(home) as panel:
        for path in ("/", "/login", "/static/panel.js", "/metrics"):
            assert (await panel.get(path, Host="evil.example.com")).status_code == 421
            assert (await panel.get(path, Host=HOST)).status_code == 200
