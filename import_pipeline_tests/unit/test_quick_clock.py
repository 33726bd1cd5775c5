"""The clock of rehearsals."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from import_pipeline.conformance.quick_clock import FASTER, QuickClock


@pytest.mark.anyio
async def test_a_sleep_passes_on_its_own_clock_and_takes_a_part_of_it_in_fact() -> None:
    clock = QuickClock()
    begun, really = clock.monotonic(), time.monotonic()
    await clock.sleep(1.0)
    assert clock.monotonic() - begun >= 1.0
    assert time.monotonic() - really >= 1.0 / FASTER


def test_the_wall_clock_is_the_machines() -> None:
    before = datetime.now(UTC)
    assert before <= QuickClock().now() <= before + timedelta(hours=1)
