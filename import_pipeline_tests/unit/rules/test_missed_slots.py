"""Slots that passed without an import: during a downtime, or while the schedule was off."""

from dataclasses import replace
from datetime import timedelta
from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.rules.scheduling import (
    MAX_MISSED_SLOTS,
    Cancel,
    Start,
    decide,
    missed_slots,
)
from import_pipeline.rules.slots import end_of_off_time
from import_pipeline.rules.status import Trigger
from import_pipeline_tests.support.scheduling_states import (
    NEXT,
    NOTHING,
    NOW,
    SLOTS,
    asked,
    at,
    due,
    request,
    running,
    slot,
)


@pytest.mark.parametrize(
    ("imports", "missed"),
    [
        pytest.param([], [], id="the first tick"),
        pytest.param([slot(1, 9)], [], id="the due slot is the latest"),
        pytest.param([slot(1, 3)], [at(6), at(9)], id="two slots went by after the one that was planned"),
        pytest.param([slot(1, 3), slot(2, 6)], [at(9)], id="one of them is filled"),
        pytest.param([slot(1, 3), NEXT], [], id="the daemon has planned since"),
        pytest.param([running(1, 0), slot(2, 3)], [at(6), at(9)], id="an import was running when all went down"),
        pytest.param([running(1, 0)], [], id="nothing is due: the schedule was stopped"),
        pytest.param([request(1)], [], id="a request is no slot"),
        pytest.param([slot(1, 12, scheduled_at=NOW, trigger=Trigger.RESCHEDULE)], [], id="a coming slot is spent"),
    ],
)
def test_slots_that_passed_during_a_downtime_are_reported(imports, missed):
    assert [one.slot_at for one in missed_slots(imports, SLOTS, NOW)] == missed


@given(hours=st.integers(min_value=0, max_value=24 * 40))
def test_after_any_downtime_the_latest_missed_slots_are_reported_without_a_gap(hours):
    planned = [slot(1, 12)]
    now = at(12) + timedelta(hours=hours)
    missed = [one.slot_at for one in missed_slots(planned, SLOTS, now)]
    assert missed == list(takewhile(lambda slot_at: slot_at <= now, SLOTS.after(at(12))))[-MAX_MISSED_SLOTS:]
    filled = [
        *planned,
        *(replace(planned[0], id=n, slot_at=each, scheduled_at=each) for n, each in enumerate(missed, 2)),
    ]
    assert missed_slots(filled, SLOTS, now) == []
    started = [one for one in decide(filled, SLOTS, now) if isinstance(one, Start)]
    assert [one.import_id for one in started] == [len(filled)]
    cancelled = [one.import_id for one in decide(filled, SLOTS, now) if isinstance(one, Cancel)]
    assert cancelled == [one.id for one in filled[:-1]]


@pytest.mark.parametrize(
    ("seen_off_at", "on_since", "end"),
    [
        pytest.param(at(9), None, NOW, id="the moment of the switch is unknown: no slot was seen while it was on"),
        pytest.param(at(6), at(8), at(8), id="switched on while no daemon ran"),
        pytest.param(at(9), at(8), NOW, id="seen to be off after that: the moment of the last switch is unknown"),
        pytest.param(at(9), at(12), NOW, id="the clock was set back since"),
        pytest.param(at(12), None, NOW, id="seen by a clock that was ahead"),
    ],
)
def test_a_schedule_was_off_until_it_was_switched_on(seen_off_at, on_since, end):
    assert end_of_off_time(seen_off_at, on_since, NOW) == end


@pytest.mark.parametrize(
    ("imports", "off_until", "missed"),
    [
        pytest.param([slot(1, 3)], NOW, [], id="off until now"),
        pytest.param([slot(1, 3)], at(5), [at(6), at(9)], id="on again, and no daemon ran"),
        pytest.param([], at(8), [at(9)], id="nothing was planned before it was off"),
        pytest.param([NEXT], at(8), [], id="planned since"),
    ],
)
def test_slots_while_the_schedule_was_off_are_not_missed(imports, off_until, missed):
    assert [one.slot_at for one in missed_slots(imports, SLOTS, NOW, off_until=off_until)] == missed


def test_slots_while_the_schedule_was_off_are_not_made_up():
    waiting = [slot(1, 6), slot(2, 9), NEXT]
    while_off = [
        Cancel(import_id=n, reason=f"The schedule was off at 2030-06-01 0{hour}:00 UTC.")
        for n, hour in ((1, 6), (2, 9))
    ]
    assert decide(waiting, SLOTS, NOW, off_until=NOW) == [*while_off, NOTHING]
    assert decide(waiting, SLOTS, NOW, off_until=at(8)) == [while_off[0], due(2, 9)]
    moved = slot(1, 9, scheduled_at=at(8), trigger=Trigger.RESCHEDULE)
    assert decide([moved, NEXT], SLOTS, NOW, off_until=NOW) == [asked(1)], "a person asked for it"
