"""What is said of a running import whose worker is gone."""

import subprocess
import sys
from datetime import timedelta

import pytest

from import_pipeline.importer import wishes
from import_pipeline.importer.vacancy import Vacancy, vacancy_of
from import_pipeline.tracking import leases
from import_pipeline.tracking.process import Worker, machine, this_process
from import_pipeline_tests.life import ADA, COMPLETED

GOES_ON = (
    "Dagster's sensor, where it runs, goes on with it within seconds, and `import-pipeline run items` does at once"
)


@pytest.fixture(scope="module")
def dead():
    """A process of this machine that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return Worker(id="dead", host=machine(), pid=process.pid)


def begun(life, worker=ADA):
    return life.begin(life.slot(life.now), worker)


def vacancy(life, hand, *, listed=True):
    with life.database.read() as connection:
        return vacancy_of(connection, life.get(hand.row.id), life.source if listed else None, life.now)


def test_what_has_a_worker_or_does_not_run_has_no_vacancy(life):
    hand = begun(life, this_process())
    assert vacancy(life, hand) is None
    hand.discover()
    hand.end(COMPLETED)
    assert vacancy(life, hand) is None


def test_a_process_of_this_machine_that_is_gone_is_told_at_once(life, dead):
    hand = begun(life, dead)
    gone = f"process {dead.pid} on {machine()} is gone"
    assert vacancy(life, hand) == Vacancy(gone=gone, sequel=f"{GOES_ON} (resume 1 of 3)")
    no_source = "Nobody goes on with it: its source is not listed any more"
    assert vacancy(life, hand, listed=False) == Vacancy(gone=gone, sequel=no_source)
    for resume in (2, 3):
        life.begin(hand.row.id, dead)
        assert vacancy(life, hand).sequel == f"{GOES_ON} (resume {resume} of 3)"
    life.begin(hand.row.id, dead)
    assert vacancy(life, hand).sequel == (
        "Dagster's sensor, or `import-pipeline run items`, ends it as failed: it was resumed 3 times"
    )


def test_another_machine_s_process_counts_as_gone_after_a_lease(life):
    hand = begun(life)
    life.go_on(seconds=59)
    assert vacancy(life, hand) is None
    life.go_on(seconds=1)
    assert vacancy(life, hand).gone == "process 1 on elsewhere has given no sign of life for over 60 s"


def test_a_process_that_left_in_order_costs_no_resume(life):
    hand = begun(life)
    hand.leave()
    assert vacancy(life, hand) == Vacancy(gone="its process has left it to another one", sequel=GOES_ON)


def test_what_is_to_be_cancelled_or_pauses_or_is_about_to_go_on_says_so(life):
    hand = begun(life)
    life.do(leases.write, hand.lease, life.now, blocked_until=life.now + timedelta(hours=1))
    hand.leave()
    assert vacancy(life, hand).sequel == f"Import {hand.row.id} pauses until 2030-06-01 11:00 UTC, as the API asked"
    life.go_on(hours=1)
    life.tick()
    assert vacancy(life, hand).sequel == f"Import {hand.row.id} is about to go on in another run"
    wishes.cancel(life.installation, hand.row.id)
    assert vacancy(life, hand).sequel == (
        "Dagster's sensor, or `import-pipeline start-scheduled items`, ends it as cancelled"
    )
