"""Completed imports that are followed: each once, in whatever order their ends become known."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.rules.completions import EPOCH, OVERLAP, CompletionCursor, unprocessed

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class End:
    import_id: int
    ended_at: datetime
    is_selection: bool = False


def end(number, minute, *, selection=False):
    return End(number, NOON + timedelta(minutes=minute), selection)


def ids(ended, followed=None):
    return [one.import_id for one in unprocessed(ended, followed or CompletionCursor())]


def test_a_whole_import_stands_for_all_before_it_and_a_selection_for_itself_only():
    assert ids([]) == []
    assert ids([end(1, 0), end(2, 1), end(3, 2)]) == [3]
    assert ids([end(1, 0), end(2, 1, selection=True), end(3, 2, selection=True)]) == [1, 2, 3]
    assert ids([end(1, 0, selection=True), end(2, 1), end(3, 2, selection=True)]) == [2, 3]


def test_an_import_is_followed_once_and_the_cursor_records_it():
    first = [end(1, 0), end(2, 1, selection=True)]
    followed = CompletionCursor.read(CompletionCursor().after(first).dump())
    assert (followed, followed.since) == (
        CompletionCursor(until=NOON + timedelta(minutes=1), import_ids=(1, 2)),
        NOON + timedelta(minutes=1) - OVERLAP,
    )
    assert ids(first, followed) == []
    assert ids([*first, end(3, 30)], followed) == [3]
    assert (CompletionCursor.read(None), CompletionCursor().since) == (CompletionCursor(), EPOCH)


def test_an_end_that_becomes_known_late_is_not_lost():
    """Its worker's clock is behind, or its transaction took its time."""
    followed = CompletionCursor().after([end(1, 5)])
    assert ids([end(2, 1, selection=True), end(1, 5)], followed) == [2]


late = st.integers(min_value=0, max_value=int(OVERLAP.total_seconds()) - 1)


@given(ends=st.lists(st.tuples(st.integers(0, 3600), late), max_size=20))
def test_every_selection_is_followed_exactly_once(ends):
    known = {n: (NOON + timedelta(seconds=at), at + delay) for n, (at, delay) in enumerate(ends)}
    followed, seen = CompletionCursor(), []
    for second in range(0, 3600 + int(OVERLAP.total_seconds()) + 60, 30):
        found = [End(n, at, True) for n, (at, known_at) in known.items() if known_at <= second and at >= followed.since]
        found.sort(key=lambda one: (one.ended_at, one.import_id))
        seen += ids(found, followed)
        followed = followed.after(found)
    assert sorted(seen) == sorted(known)
