"""`schedule` says what serves the slots: nothing yet, nothing since the latest slot, or a schedule that is off."""

from datetime import UTC, datetime, timedelta

import pytest

from import_pipeline.cli.output.formatting import moment
from import_pipeline.cli.output.json import schedule_json
from import_pipeline.cli.output.schedule import Ticks, print_schedule
from import_pipeline.sources.items import ItemsSource

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
EARLIER = NOON - timedelta(hours=5)
BY_HAND = "`import-pipeline start-scheduled items`"


@pytest.mark.parametrize(
    ("ticks", "said"),
    [
        (Ticks(off_since=None, last=None, unserved_slot=None), ["No tick was seen yet", BY_HAND]),
        (
            Ticks(off_since=None, last=EARLIER, unserved_slot=NOON),
            [f"No tick was seen since {moment(EARLIER)}: nothing followed the slot of {moment(NOON)}.", BY_HAND],
        ),
        (Ticks(off_since=EARLIER, last=EARLIER, unserved_slot=NOON), [f"is off, seen since {moment(EARLIER)}"]),
    ],
)
def test_slots_that_nothing_serves_are_said(capsys, ticks, said):
    print_schedule(ItemsSource(), [NOON], [], ticks, NOON)
    printed = capsys.readouterr().out
    assert all(each in printed for each in said)
    assert ("Next slots" in printed) is (ticks.off_since is None)


def test_served_slots_need_no_sentence(capsys):
    print_schedule(ItemsSource(), [NOON], [], Ticks(off_since=None, last=NOON, unserved_slot=None), NOON)
    assert "tick" not in capsys.readouterr().out


def test_programs_read_the_same():
    ticks = Ticks(off_since=None, last=EARLIER, unserved_slot=NOON)
    found = schedule_json(ItemsSource(), [NOON], [], ticks)
    assert (found["last_tick"], found["unserved_slot"]) == (EARLIER.isoformat(), NOON.isoformat())
