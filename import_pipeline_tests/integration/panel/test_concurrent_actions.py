"""Two people press buttons of the panel at one moment, in every state of an import."""

import asyncio
import re

import pytest

from import_pipeline.sources.items import ImportedItem
from import_pipeline.testing import FakeClock
from import_pipeline.tracking.user_rows.user_tables import ensure_table
from import_pipeline_tests.support.lifecycle import TEN
from import_pipeline_tests.support.operators import STATES, Operator
from import_pipeline_tests.support.panel_client import open_panel

pytestmark = pytest.mark.anyio
BUTTONS = ("new", "reschedule", "cancel", "retry", "delete", "resume")


async def press(panel, button, number, slot):
    """The status and the address that the panel leads on to."""
    if button in {"new", "reschedule"}:
        answer = await panel.post("/run", {"source": "items", "mode": button, "slot:items": slot})
    else:
        answer = await panel.post(f"/imports/{number}/{button}")
    return answer.status_code, answer.headers.get("location")


async def pressed(home, state, buttons, *, at_once):
    """The answers to two people, and all that is to be seen then."""
    clock = FakeClock(TEN)
    async with open_panel(home, clock) as panel:
        desk = Operator(panel.installation.database, home, "items", clock)
        desk.installation = panel.installation
        ensure_table(desk.database, ImportedItem)
        number = state(desk)
        before = desk.events()
        slot = re.search(r'name="slot:items" value="([^"]+)"', (await panel.get("/run")).text)[1]
        presses = [press(panel, button, number, slot) for button in buttons]
        answers = await asyncio.gather(*presses) if at_once else [await each for each in presses]
        twice = {each: times for each, times in (desk.events() - before).items() if times > 1}
        assert twice == {}, "an effect has one event"
        return sorted(map(str, answers)), desk.outcome()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("button", BUTTONS)
async def test_the_second_of_two_who_press_one_button_changes_nothing(tmp_path, state, button):
    one_by_one = await pressed(tmp_path / "serial", state, (button, button), at_once=False)
    assert await pressed(tmp_path / "at once", state, (button, button), at_once=True) == one_by_one


@pytest.mark.nightly
@pytest.mark.timeout(300)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    ("first", "second"),
    [(one, other) for one in BUTTONS for other in BUTTONS if BUTTONS.index(one) < BUTTONS.index(other)],
)
async def test_two_buttons_at_one_moment_do_what_they_do_one_after_the_other(tmp_path, state, first, second):
    orders = [
        await pressed(tmp_path / "first", state, (first, second), at_once=False),
        await pressed(tmp_path / "second", state, (second, first), at_once=False),
    ]
    assert await pressed(tmp_path / "at once", state, (first, second), at_once=True) in orders
