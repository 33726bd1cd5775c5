"""The page of a source, and the page of an item with its history."""

from datetime import timedelta

import pytest
from sqlalchemy import insert

from import_pipeline.importer.control.scheduling import tick
from import_pipeline.tracking import imports, schedules
from import_pipeline.tracking.history import importable_type
from import_pipeline.tracking.tables import source_items
from import_pipeline_tests.support.import_rows import NOON
from import_pipeline_tests.support.panel_client import add_import, add_items, open_panel

pytestmark = pytest.mark.anyio
ENDED = {"status": "completed", "started_at": NOON - timedelta(seconds=30), "ended_at": NOON, "elapsed_seconds": 30.0}
WHO = {"PANEL_USER_HEADER": "X-Forwarded-User"}


def add_failed(panel, *reasons, **values):
    """Add an ended import with one failed item for each reason; their ids are 0, 1, 2 ..."""
    import_id = add_import(panel.installation, **ENDED | {"items_failed_count": len(reasons)} | values)
    kind = importable_type(panel.installation.source("items").model)
    failed = {"status": "failed", "importable_type": kind, "failure_count": 1, "last_failed_at": NOON}
    add_items(panel.installation, import_id, *[failed | {"failure_reason": reason} for reason in reasons])
    return import_id


def only(panel, import_id):
    with panel.installation.database.read() as connection:
        row = imports.get(connection, import_id)
    return row.kind, row.options.only, row.requested_by


async def test_the_page_of_a_source_has_its_slots_limits_and_history(home):
    async with open_panel(home, ITEMS_SLOTS="6,18") as panel:
        for elapsed, status in ((10.0, "completed"), (40.0, "failed"), (0.0, "cancelled")):
            add_import(
                panel.installation, **ENDED | {"status": status, "elapsed_seconds": elapsed, "heartbeat_at": NOON}
            )
        add_import(panel.installation, status="cancelled", ended_at=NOON)  # never started
        page = await panel.get("/sources/items")
        assert (page.status_code, panel.drawn.template) == (200, "source.html")
        context = panel.drawn.context
        assert [slot.hour for slot in context["slots"]] == [18, 6, 18, 6, 18, 6]
        assert [(bar.view.row.status, bar.height) for bar in context["strip"]] == [
            ("completed", 25.0),
            ("failed", 100.0),
            ("cancelled", 6.0),
        ]
        assert "of 500" in page.text
        assert '<a href="/?source=items">' in page.text


async def test_the_schedule_says_what_its_ticks_left_behind(home):
    async with open_panel(home, ITEMS_SLOTS="6,11") as panel:
        assert "No tick was seen yet" in (await panel.get("/sources/items")).text
        slot_at = NOON - timedelta(hours=1)
        add_import(panel.installation, slot_at=slot_at, created_at=slot_at - timedelta(hours=5))
        page = (await panel.get("/sources/items")).text
        assert "No tick was seen since <time" in page
        assert "nothing followed the slot of <time" in page
        tick(panel.installation, panel.installation.source("items"))
        assert "On. The last known tick was at <time" in (await panel.get("/sources/items")).text


async def test_a_schedule_that_is_off_says_since_when(home):
    async with open_panel(home) as panel:
        with panel.installation.database.write() as connection:
            schedules.record_off(connection, "items", NOON)
        assert "Off since <time" in (await panel.get("/sources/items")).text


async def test_an_unknown_source_is_not_found(home):
    async with open_panel(home) as panel:
        page = await panel.get("/sources/orders")
        assert (page.status_code, panel.drawn.template) == (404, "problem.html")


async def test_an_item_shows_each_import_that_had_it(home):
    async with open_panel(home) as panel:
        first, second = add_failed(panel, "a", "b"), add_failed(panel, "c")
        known = {"source": "items", "external_id": "0", "first_import_id": first, "last_import_id": second}
        with panel.installation.database.write() as connection:
            connection.execute(insert(source_items).values(**known, version="v7", gone_at=NOON))
        page = await panel.get("/item?id=0")
        [item] = panel.drawn.context["found"]
        assert [(each.import_id, each.failure_reason) for each in item.history] == [(second, "c"), (first, "a")]
        assert item.known.version == "v7"
        assert "The list no longer has this item since" in page.text
        assert "No listed source knows" in (await panel.get("/item?id=17")).text
        assert (
            "No listed source knows the item: there is no source orders"
            in (await panel.get("/item?id=0&source=orders")).text
        )
        assert "items knows no item with the id 17" in (await panel.get("/item?id=17&source=items")).text
        assert "Enter the id that the API gives the item" in (await panel.get("/item")).text


async def test_an_id_with_spaces_at_its_ends_is_found_as_it_is(home):
    async with open_panel(home) as panel:
        import_id = add_failed(panel, "a")
        kind = importable_type(panel.installation.source("items").model)
        failed = {"external_id": " x ", "status": "failed", "importable_type": kind, "last_failed_at": NOON}
        add_items(panel.installation, import_id, failed)
        for asked in (" x ", " 0"):  # the second is a person's slip
            await panel.client.get("/item", params={"id": asked})
            [found] = panel.drawn.context["found"]
            assert found.external_id == (asked if asked == " x " else "0")


@pytest.mark.parametrize("external_id", ["../../etc", "<b>", "a b", "Ä/ö", "\u202e", "%00", "x" * 400])
async def test_any_id_can_be_looked_up(home, external_id):
    async with open_panel(home) as panel:
        page = await panel.client.get("/item", params={"id": external_id})
        assert page.status_code == 200
        assert "<b>" not in page.text


async def test_an_id_with_spaces_is_found_and_a_pasted_one_too(home):
    async with open_panel(home) as panel:
        kind = importable_type(panel.installation.source("items").model)
        for external_id in (" 1", "2"):
            row = {"status": "completed", "importable_type": kind, "external_id": external_id}
            add_items(panel.installation, add_import(panel.installation, **ENDED), row)
        for asked, found in ((" 1", [" 1"]), ("1", []), (" 2 ", ["2"]), ("a\0", [])):
            await panel.client.get("/item", params={"id": asked})
            assert [each.external_id for each in panel.drawn.context["found"]] == found


@pytest.mark.parametrize("path", ["/item", "/imports/1/retry"])
async def test_a_field_that_no_database_stores_is_refused(home, path):
    async with open_panel(home) as panel:
        add_failed(panel, "no")
        answer = await panel.post(path, {"source": "items", "id": "a\0", "like": "a\0"})
        assert answer.status_code == 400


async def test_one_item_is_imported_again_once(home):
    async with open_panel(home, **WHO) as panel:
        form = {"source": "items", "id": "a/b"}
        answers = [await panel.post("/item", form, x_forwarded_user="ada@example.com") for _ in range(2)]
        leads = [answer.headers["location"] for answer in answers]
        assert leads == ["/imports/1?done=again", "/imports/1?done=again-already"]
        assert only(panel, 1) == ("selection", ("a/b",), "ada@example.com")
        launched = tick(panel.installation, panel.installation.source("items")).launches
        assert [launch.import_id for launch in launched] == [1]
        answer = await panel.post("/item", {"source": "items", "id": ""})
        assert (answer.status_code, panel.drawn.template) == (409, "problem.html")


async def test_the_items_of_one_reason_are_retried_without_the_others(home):
    async with open_panel(home) as panel:
        import_id = add_failed(panel, "no price", "the API answers 500", "no price", "no price")
        page = (await panel.get(f"/imports/{import_id}")).text
        assert f'href="/imports/{import_id}/retry?like=0"' in page
        dialog = (await panel.get(f"/imports/{import_id}/retry?like=0")).text
        assert "Retry 3 items of import" in dialog
        answer = await panel.post(f"/imports/{import_id}/retry", {"like": "0"})
        assert answer.headers["location"] == f"/imports/{import_id + 1}?done=retry"
        assert only(panel, import_id + 1) == ("selection", ("0", "2", "3"), "a user of the panel")


async def test_a_name_counts_only_if_a_setting_names_its_header(home):
    async with open_panel(home) as panel:
        await panel.post("/item", {"source": "items", "id": "1"}, x_forwarded_user="mallory")
        assert only(panel, 1)[2] == "a user of the panel"


async def test_the_pause_of_an_api_is_lifted_from_the_page_of_its_source(home):
    async with open_panel(home) as panel:
        answer = await panel.post("/sources/items/resume")
        assert answer.headers["location"] == "/sources/items?done=resume-already"
        assert "The API is no longer paused." in (await panel.get(answer.headers["location"])).text
