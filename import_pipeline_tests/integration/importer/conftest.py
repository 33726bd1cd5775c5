"""A dead worker, for tests of stalled imports."""

import subprocess
import sys

import pytest

from import_pipeline.tracking.workers import Worker, machine


@pytest.fixture(scope="module")
def dead():
    """A worker of this machine whose process is dead."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return Worker(id="dead", host=machine(), pid=process.pid)
