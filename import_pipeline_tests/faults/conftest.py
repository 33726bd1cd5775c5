"""Fixtures of the fault tests."""

import subprocess
import sys
import uuid

import pytest

from import_pipeline.tracking.workers import Worker, machine


@pytest.fixture(scope="session")
def dead_worker():
    """Give imports a worker whose process is dead, so that no test waits for its lease."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return Worker(id=uuid.uuid4().hex, host=machine(), pid=process.pid)
