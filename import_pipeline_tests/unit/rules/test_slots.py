"""Slots: no change of any zone's clocks loses or doubles one."""

import re
from bisect import bisect_right
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import takewhile
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.contracts import ImportSource
from import_pipeline.rules.slots import Slots, parse_slots, unserved_slot

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
#: Names of files that hold rules for other programs, or for whatever machine this is.
ODD = {"localtime", "Factory", "posixrules"}
ZONES = sorted(name for name in available_timezones() if name not in ODD and not name.startswith(("posix/", "right/")))


def at(text):
    return datetime.fromisoformat(text)


def between(slots, after, until):
    """Return the slots later than one instant and not later than the other."""
    return list(takewhile(lambda moment: moment <= until, slots.after(after)))


@cache
def changes(zone):
    """Return the moments at which the zone's clocks change in the tested years, to the minute."""
    found = []
    moment, zone = FIRST, ZoneInfo(zone)
    offset = moment.astimezone(zone).utcoffset()
    while moment < LAST:
        before, after = moment, moment + DAY
        passed, offset = offset, after.astimezone(zone).utcoffset()
        if passed != offset:
            while after - before > MINUTE:
                middle = before + (after - before) // MINUTE // 2 * MINUTE
                changed = middle.astimezone(zone).utcoffset() != before.astimezone(zone).utcoffset()
                before, after = (before, middle) if changed else (middle, after)
            found.append(after)
        moment += DAY
    return found


def by_the_minute(slots, after, until):
    """Return the slots between two instants, found by reading the clock every minute."""
    found = set()
    shown = after.astimezone(slots.zone).replace(tzinfo=None)  # the latest time that the clocks have shown
    days = [shown.date() + DAY * ahead for ahead in range((until - after).days + 4)]
    walls = sorted(datetime.combine(day, time) for day in days for time in slots.times)
    moment, passed = after, bisect_right(walls, shown)
    while moment < until:
        moment += MINUTE
        now = moment.astimezone(slots.zone).replace(tzinfo=None)
        if now > shown:
            shown = now
            if passed < len(walls) and walls[passed] <= now:
                passed = bisect_right(walls, now)
                found.add(moment)
    return sorted(found)


times = st.lists(
    st.times().map(lambda found: found.replace(second=0, microsecond=0)), min_size=1, max_size=8, unique=True
)
some_slots = st.builds(
    lambda found, zone: Slots(times=tuple(sorted(found)), zone=ZoneInfo(zone)), times, st.sampled_from(ZONES)
)
instants = st.integers(0, int((LAST - FIRST).total_seconds())).map(lambda seconds: FIRST + timedelta(seconds=seconds))


@st.composite
def slots_and_a_change(draw):
    """Slots, and a moment within a day and a half of a change of their zone's clocks."""
    slots = draw(some_slots)
    near = draw(st.sampled_from(changes(slots.zone.key) or [FIRST + DAY]))
    return slots, near + draw(st.integers(-36 * 60, 36 * 60)) * MINUTE


@given(slots=some_slots, instant=instants)
def test_an_instant_lies_between_two_neighbouring_slots(slots, instant):
    before, after = slots.latest_at(instant), slots.next_after(instant)
    assert before <= instant < after
    assert slots.next_after(before) == after
    assert slots.latest_at(after) == after
    assert slots.latest_at(after - timedelta(seconds=1)) == before


@given(case=slots_and_a_change())
def test_around_a_change_of_the_clocks_neighbours_agree_too(case):
    slots, instant = case
    before, after = slots.latest_at(instant), slots.next_after(instant)
    assert before <= instant < after
    assert (slots.next_after(before), slots.latest_at(after)) == (after, after)


@given(case=slots_and_a_change())
def test_around_a_change_of_the_clocks_slots_match_a_clock_that_is_read_every_minute(case):
    slots, middle = case
    after, until = middle - 2 * DAY, middle + 2 * DAY
    found = between(slots, after, until)
    # A clock that was put back before the beginning repeats times that this reading does not know to be repeated.
    repeated = after + timedelta(hours=26)
    assert [one for one in found if one > repeated] == [
        one for one in by_the_minute(slots, after, until) if one > repeated
    ]


@given(slots=some_slots, day=st.dates(FIRST.date(), LAST.date()))
def test_every_time_of_every_day_is_exactly_one_moment_and_its_clock_shows_it_or_was_just_put_forward(slots, day):
    found = slots.on(day)
    assert len(found) == len(slots.times)
    assert found == sorted(found)
    for moment, wall in zip(found, slots.times, strict=True):
        shown = moment.astimezone(slots.zone).replace(tzinfo=None)
        just_before = (moment - timedelta(seconds=1)).astimezone(slots.zone).replace(tzinfo=None)
        assert just_before < datetime.combine(day, wall) <= shown
        assert moment.utcoffset() == timedelta(0)


@given(slots=some_slots, instant=instants)
def test_a_walk_over_a_month_meets_all_slots_of_its_days_and_no_others(slots, instant):
    until = instant + 30 * DAY
    first, last = instant.astimezone(slots.zone).date(), until.astimezone(slots.zone).date()
    days = [first + DAY * ahead for ahead in range(-1, (last - first).days + 1)]
    expected = {moment for day in days for moment in slots.on(day) if instant < moment <= until}
    assert between(slots, instant, until) == sorted(expected)


@pytest.mark.nightly
@pytest.mark.parametrize("zone", ZONES)
def test_no_change_of_this_zones_clocks_loses_or_doubles_a_slot(zone):
    slots = Slots(times=tuple(time(hour, minute) for hour in range(24) for minute in (0, 30)), zone=ZoneInfo(zone))
    for change in changes(zone):
        after, until = change - timedelta(hours=4), change + timedelta(hours=4)
        assert between(slots, after, until) == by_the_minute(slots, after, until)


@pytest.mark.parametrize(
    ("text", "zone", "day", "expected"),
    [
        pytest.param("0,12", "UTC", "2030-06-01", ["2030-06-01T00:00Z", "2030-06-01T12:00Z"], id="plain"),
        pytest.param("9", "Asia/Kolkata", "2030-06-01", ["2030-06-01T03:30Z"], id="half an hour's offset"),
        pytest.param(
            "1:30,2,2:30,3,3:30",
            "Europe/Berlin",
            "2030-03-31",
            ["2030-03-31T00:30Z", "2030-03-31T01:00Z", "2030-03-31T01:00Z", "2030-03-31T01:00Z", "2030-03-31T01:30Z"],
            id="put forward at 2: what is skipped comes at the change",
        ),
        pytest.param(
            "1:30,2,2:30,3",
            "Europe/Berlin",
            "2030-10-27",
            ["2030-10-26T23:30Z", "2030-10-27T00:00Z", "2030-10-27T00:30Z", "2030-10-27T02:00Z"],
            id="put back at 3: what is repeated comes the first time",
        ),
        pytest.param(
            "0,0:30,1", "America/Sao_Paulo", "2018-11-04", ["2018-11-04T03:00Z"] * 3, id="put forward at midnight"
        ),
        pytest.param(
            "2,2:15",
            "Australia/Lord_Howe",
            "2030-10-06",
            ["2030-10-05T15:30Z", "2030-10-05T15:30Z"],
            id="put forward by half an hour",
        ),
        pytest.param("0,12,23:59", "Pacific/Apia", "2011-12-30", ["2011-12-30T10:00Z"] * 3, id="a day that never was"),
    ],
)
def test_what_a_change_of_the_clocks_does_to_a_days_slots(text, zone, day, expected):
    assert parse_slots(text, zone).on(date.fromisoformat(day)) == [at(one) for one in expected]


def test_slots_that_a_change_brings_together_are_one_slot():
    slots = parse_slots("1,2,2:30,3,4", "Europe/Berlin")
    assert between(slots, at("2030-03-31T00:00Z"), at("2030-03-31T02:00Z")) == [
        at("2030-03-31T01:00Z"),
        at("2030-03-31T02:00Z"),
    ]


@pytest.mark.parametrize(
    ("instant", "latest", "following"),
    [
        ("2030-06-01T00:00:00Z", "2030-06-01T00:00Z", "2030-06-01T03:00Z"),
        ("2030-06-01T02:59:59.999999Z", "2030-06-01T00:00Z", "2030-06-01T03:00Z"),
        ("2030-06-01T23:00:00+02:00", "2030-06-01T21:00Z", "2030-06-02T00:00Z"),
        ("2030-12-31T22:00:00Z", "2030-12-31T21:00Z", "2031-01-01T00:00Z"),
    ],
)
def test_the_slots_around_an_instant(instant, latest, following):
    slots = parse_slots(ImportSource.slots, ImportSource.time_zone)
    assert (slots.latest_at(at(instant)), slots.next_after(at(instant))) == (at(latest), at(following))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", [time(0)]),
        ("0,3,6", [time(0), time(3), time(6)]),
        ("09:30,12:00", [time(9, 30), time(12)]),
        (" 21, 9:05 ,9:05,21:00", [time(9, 5), time(21)]),
        ("23:59", [time(23, 59)]),
    ],
)
def test_slots_are_read(text, expected):
    assert parse_slots(text, "Europe/Berlin") == Slots(times=tuple(expected), zone=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    "text", ["", ",", "3,", "24", "-1", "9.30", "9:5", "9:60", "25:00", "noon", "0-6", "*/3", "1 2", "٣", "9:30:00"]
)
def test_invalid_slots_are_reported(text):
    expected = f"expected hours or times of the day, such as 0,3,6 or 09:30,12:00, got {text!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        parse_slots(text, "UTC")


@pytest.mark.parametrize("zone", ["", "Berlin", "Europe", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "UTC+2"])
def test_an_invalid_time_zone_is_reported(zone):
    expected = f"expected a time zone such as Europe/Berlin, got {zone!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        parse_slots("0", zone)


@pytest.mark.parametrize(
    ("slots", "hours"),
    [("0,3,6,9,12,15,18,21", 3), ("9", 24), ("09:30,12:00", 21.5), ("6,7,22", 15), ("0,12", 12)],
)
def test_the_longest_gap_reaches_over_midnight(slots, hours):
    assert parse_slots(slots, "UTC").longest_gap == timedelta(hours=hours)


def test_slots_are_shown_as_times_with_their_zone():
    assert str(parse_slots("12,9:30", "Europe/Berlin")) == "09:30, 12:00 (Europe/Berlin)"


@pytest.mark.parametrize(
    ("last_tick", "minutes", "is_unserved"),
    [(None, 90, False), (-1, 90, True), (-1, 1, False), (0, 90, False), (30, 90, False)],
)
def test_a_slot_that_no_tick_has_followed_is_found_after_a_while(last_tick, minutes, is_unserved):
    slot_at = datetime(2030, 1, 31, 12, tzinfo=UTC)
    seen = None if last_tick is None else slot_at + last_tick * MINUTE
    found = unserved_slot(parse_slots("6,12", "UTC"), seen, slot_at + minutes * MINUTE)
    assert found == (slot_at if is_unserved else None)
