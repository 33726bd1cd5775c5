"""A bookmark never passes an item that was not imported, whatever happens to the API, the processes and the people."""

import pytest

from import_pipeline_tests.support.bookmark_machine import BookmarkMachine
from import_pipeline_tests.support.lifecycle import tracking_database
from import_pipeline_tests.support.state_machine_runs import run_state_machine

#: A heartbeat thread whose process is killed ends by SystemExit.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def test_a_bookmark_passes_nothing_on_sqlite(tmp_path):
    with tracking_database(f"sqlite:///{tmp_path / 'tracking.db'}") as database:
        run_state_machine(BookmarkMachine, database, examples=8, steps=5)


def test_a_bookmark_passes_nothing_that_slides_between_pages(tmp_path):
    """The shape that random examples seldom have: numbers in counted pages."""
    with tracking_database(f"sqlite:///{tmp_path / 'tracking.db'}") as database:
        found = BookmarkMachine(database)
        found.an_api_is_there(
            form="number",
            order="oldest_first",
            is_keyset=False,
            has_total=False,
            lookback=False,
            full_every=None,
            per_page=1,
            is_whole=False,
            is_versioned=True,
        )
        found.teardown()


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("database_url", "examples"), [("sqlite", 300), ("postgres", 15)], indirect=["database_url"])
def test_a_bookmark_passes_nothing_over_many_steps(database_url, examples):
    with tracking_database(database_url) as database:
        run_state_machine(BookmarkMachine, database, examples, steps=12)
