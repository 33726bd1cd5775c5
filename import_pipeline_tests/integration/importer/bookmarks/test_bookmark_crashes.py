"""A process may die at each point of the end of an import: the bookmark moves with it, or not at all."""

from itertools import count

import pytest

from import_pipeline_tests.support.bookmark_machine import BookmarkMachine
from import_pipeline_tests.support.bookmark_world import IN_PEACE
from import_pipeline_tests.support.lifecycle import tracking_database

#: The statements and commits at the end of an import: the last page, the last item, and the transaction that completes.
LAST_POINTS = 20

#: A heartbeat thread whose process is killed ends by SystemExit.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def world(database):
    """Return an API whose items were imported, except one; another one has changed since."""
    found = BookmarkMachine(database)
    found.an_api_is_there(
        form="number",
        order="oldest_first",
        is_keyset=True,
        has_total=False,
        lookback=False,
        full_every=None,
        per_page=3,
        is_whole=False,
        is_versioned=True,
    )
    found.run(dict(IN_PEACE, broken={2}), {})
    found.api.change("1")
    return found


def test_a_death_at_the_end_of_an_import_neither_loses_nor_repeats_the_move(tmp_path):
    with tracking_database(f"sqlite:///{tmp_path / 'tracking.db'}") as database:
        found = world(database)
        found.run(IN_PEACE, {})
        deaths = 0
        for kill_at in count(found.doom.passed["point"], -1):  # an import that claims twice takes some statements more
            found = world(database)
            assert found.bookmark() == "5"
            deaths += found.run(dict(IN_PEACE, kill_at=kill_at), {}) is None
            assert found.bookmark() == ("6" if found.running() is None else "5")
            found.the_bookmark_has_passed_nothing()
            found.run(IN_PEACE, {})
            assert (found.bookmark(), found.known()["2"][0]) == ("6", False)
            assert found.stored() == found.api.live
            if deaths == LAST_POINTS:
                break
