"""A bookmark passes no change that a reading may have missed, however items move between pages meanwhile."""

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.importer.discovery.pagination import MAX_PASSES
from import_pipeline.rules.lists.positions import parse_position
from import_pipeline.rules.lists.read_mark import ReadMark
from import_pipeline.rules.lists.untracked_items import LATEST

NOW = datetime(2030, 1, 1, tzinfo=UTC)
EARLY, LATE = "2030-01-01T00:00:00+00:00", "2030-01-01T00:00:01+00:00"


@dataclass
class ChangingList:
    """Items with the number of their latest change; each request may be preceded by changes."""

    order: str | None  #: as the source states it
    direction: int  #: of positions in the list: 1, -1, or 0 for the order of ids
    is_counted: bool  #: else a page begins after the last item of the one before
    per_page: int
    schedule: list[list[int]]  #: the items that change before each request; none after the last
    places: dict[int, int] = field(default_factory=lambda: {each: each + 1 for each in range(8)})
    requests: int = 0
    end: tuple[int, int] | None = None  #: the key of the last item of the latest page

    def page(self, number, since):
        """Return item -> position of a page from that position on, and True if a page follows."""
        for each in self.schedule[self.requests] if self.requests < len(self.schedule) else ():
            self.places[each] = max(self.places.values()) + 1
        self.requests += 1
        listed = sorted(self.key(each) for each in self.places if self.places[each] >= since)
        if self.is_counted:
            listed = listed[(number - 1) * self.per_page :]
        elif number > 1:
            listed = [key for key in listed if key > self.end]
        shown = listed[: self.per_page]
        self.end = shown[-1] if shown else None
        return {each: self.places[each] for _, each in shown}, len(shown) < len(listed)

    def key(self, item):
        """Return the sort key of an item."""
        return self.direction * self.places[item], item


@dataclass
class Reader:
    """Reads the list as an import does, without its database: a changed item is fetched once in an import."""

    api: ChangingList
    stored: dict[int, int] = field(default_factory=dict)
    bookmark: int = 0
    seen: str | None = None

    def run(self):
        """Import, and move the bookmark."""
        mark, fetched, last = ReadMark(first=self.seen), {}, {}
        for _ in range(MAX_PASSES):
            mark = self.read(mark.next_pass(), fetched, last)
            if not mark.is_shifting or not self.api.is_counted or self.api.order == "newest_first":
                break
        else:
            return
        self.seen = mark.seen
        known = [parse_position(str(place)) for place in last.values()]
        again = None if mark.again is None else parse_position(mark.again)
        top = mark.largest(known, again) if again is not None and int(mark.top) >= int(mark.again) else mark.top
        self.bookmark = max(self.bookmark, int(top or 0))

    def read(self, mark, fetched, last):
        """Read the list once. Return the mark after it."""
        number, more, met = 0, True, set()
        while more:
            number += 1
            found, more = self.api.page(number, self.bookmark)
            positions = {each: parse_position(str(place)) for each, place in found.items()}
            if more and self.api.is_counted:
                mark = replace(mark, is_counted=True)
            mark = mark.after(list(positions.values()), NOW, self.api.order)
            again = [each for each in found if each in last and last[each] != found[each]]
            if again:
                mark = mark.met_again([positions[each] for each in again], is_shifting=not met.isdisjoint(again))
            for each, place in found.items():
                if each not in fetched:
                    fetched[each] = self.stored[each] = place
            last |= found
            met |= set(found)
        return mark


items = st.integers(0, 7)
changes = st.just([]) | st.just([]) | st.lists(items, min_size=1, max_size=3) | st.permutations(range(8))
schedules = st.lists(changes, min_size=8, max_size=30)
ORDERS = [("oldest_first", 1)] * 3 + [("newest_first", -1), (None, 1), (None, -1), (None, 0)]


@given(st.sampled_from(ORDERS), st.sampled_from([True, True, False]), st.integers(1, 5), schedules)
def test_a_bookmark_passes_no_change_that_was_missed(order, is_counted, per_page, schedule):
    reader = Reader(ChangingList(*order, is_counted, per_page, schedule))
    while reader.api.requests < len(schedule):
        reader.run()
        missed = {each: place for each, place in reader.api.places.items() if reader.stored.get(each) != place}
        assert not {each for each, place in missed.items() if place <= reader.bookmark}
    for _ in range(3):
        reader.run()
    assert (reader.stored, reader.bookmark) == (reader.api.places, max(reader.api.places.values()))


@pytest.mark.parametrize(
    ("firsts", "top"),
    [
        ([(EARLY, "7"), (LATE, "3")], "7"),
        ([(LATE, "3"), (EARLY, "7")], "7"),
        ([(EARLY, "7"), (EARLY, "5"), (LATE, "3")], "5"),  # either may have been the first
        ([(EARLY, "7"), (EARLY, None)], None),
        ([(EARLY, "7"), (None, None)], "7"),  # not begun
    ],
)
def test_the_first_page_of_the_slice_that_began_first_counts(firsts, top):
    found = ReadMark.of_slices(ReadMark(began_at=began_at, first=first) for began_at, first in firsts)
    assert found.largest(parse_position(str(number)) for number in range(10)) == top


PLACES = {"1": "5", "2": ""}


@pytest.mark.parametrize(
    ("listed", "is_shifting"),
    [
        ({"1": "5"}, False),
        ({"1": "8"}, True),
        ({"1": ""}, True),
        ({"2": ""}, True),
        ({"2": "8"}, True),
        ({"3": ""}, False),
    ],
)
@pytest.mark.parametrize("order", ["oldest_first", None])
def test_an_item_without_a_row_or_a_position_that_comes_again_has_moved(listed, is_shifting, order):
    mark = ReadMark(is_counted=True, order=order).met(PLACES, PLACES)
    mark = ReadMark.read(json.loads(json.dumps(mark.dump())))
    assert mark.met(listed, ()).is_shifting == is_shifting
    assert not mark.next_pass().met(listed, ()).is_shifting


@pytest.mark.parametrize("mark", [ReadMark(order="oldest_first"), ReadMark(is_counted=True, order="newest_first")])
def test_in_pages_that_skip_nothing_no_item_is_kept(mark):
    assert mark.met(PLACES, PLACES) == mark


def test_only_the_latest_items_are_kept():
    many = {str(number): "5" for number in range(LATEST + 10)}
    mark = ReadMark(is_counted=True).met(many, many)
    assert len(mark.untracked) == LATEST
    assert mark.met({str(LATEST): "6"}, ()).is_shifting
