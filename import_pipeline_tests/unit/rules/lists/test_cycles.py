"""Circles of any length are detected, in bounded memory, before or after the trail was stored."""

import json

from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.rules.lists.cycles import LATEST, Trail


def steps_until_met(before, length, *, stored_after=None):
    """Return the steps after which a walk of `before` new places and a circle is known to repeat."""
    trail, step = Trail(), 0
    while True:
        place = step if step < before else before + (step - before) % length
        if trail.has(str(place)):
            return step
        trail, step = trail.after(str(place)), step + 1
        if step == stored_after:
            trail = Trail.read(json.loads(json.dumps(trail.dump())))


@given(st.integers(0, 200), st.integers(1, 200))
def test_every_circle_shows_within_three_rounds(before, length):
    assert before + length <= steps_until_met(before, length) <= 3 * (before + length)


@given(st.integers(0, 200), st.integers(1, LATEST))
def test_a_short_circle_shows_when_it_closes(before, length):
    assert steps_until_met(before, length) == before + length


@given(st.integers(0, 50), st.integers(1, 50), st.integers(1, 60))
def test_a_stored_trail_is_the_same_one(before, length, stored_after):
    assert steps_until_met(before, length, stored_after=stored_after) == steps_until_met(before, length)


@given(st.integers(0, 500))
def test_what_is_new_is_never_taken_for_a_circle_and_the_memory_is_bounded(steps):
    trail = Trail()
    for step in range(steps):
        assert not trail.has(str(step))
        trail = trail.after(str(step))
    assert len(trail.latest) <= LATEST
