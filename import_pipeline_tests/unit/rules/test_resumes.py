"""The progress that an import makes between two resumes."""

from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.rules.resumes import MAX_READINGS, ProgressMark, resume_limit_reason

HERE = ProgressMark(found=10, done=4, tries=2, reading=1, page=5)
standings = st.builds(ProgressMark, **dict.fromkeys(asdict(HERE), st.integers(0, 6)))


@pytest.mark.parametrize("further", [{"found": 11}, {"done": 5}, {"tries": 3}, {"page": 6}, {"reading": 2, "page": 0}])
def test_every_figure_that_grows_is_progress(further):
    assert replace(HERE, **further).is_beyond(HERE)
    assert not HERE.is_beyond(replace(HERE, **further))


def test_a_list_that_is_read_anew_after_every_death_is_no_progress_for_ever():
    again = [replace(HERE, reading=reading) for reading in range(1, 20)]
    kept, progress = again[0], 0
    for each in again[1:]:
        progress += each.is_beyond(kept)
        kept = each.highest(kept)
    assert progress == MAX_READINGS - 1


@given(standings, standings)
def test_nothing_is_beyond_the_highest_of_both(one, other):
    highest = one.highest(other)
    assert not one.is_beyond(highest)
    assert not other.is_beyond(highest)
    assert one.is_beyond(other) == highest.is_beyond(other)


@given(standings)
def test_it_is_kept_and_read_as_it_is(one):
    assert ProgressMark.read(asdict(one)) == one
    assert not ProgressMark.read(None).is_beyond(one)


@pytest.mark.parametrize(
    ("worker_error", "reason"),
    [
        (None, "resumed 3 times without progress; its worker died each time"),
        ("ValueError: no", "resumed 3 times without progress; at last it broke off: ValueError: no"),
    ],
)
def test_the_reason_names_the_last_error(worker_error, reason):
    assert resume_limit_reason(3, worker_error) == reason
