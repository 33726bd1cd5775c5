"""Signals are heard although a hook of the source does not return."""

import asyncio
import os
import signal
import subprocess
import time

import pytest

from import_pipeline.errors import ImportInterrupted
from import_pipeline.importer.execution.signals import end_of, handle_signals
from import_pipeline.importer.user_code.hooks import ANYTHING, call_hook
from import_pipeline.importer.user_code.running_hooks import HookInterrupted

SOON = 0.05  # seconds
LONG = 60.0


def sleeps() -> None:
    time.sleep(LONG)


def spins() -> None:
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        pass


def matches() -> None:
    import re

    re.search(r"(a+)+$", "a" * 40 + "b")


class Row:
    def __init__(self, body):
        self.body = body

    def populate(self):
        self.body()


def signalled_from_outside():
    """Start a process that signals this one soon: a thread of this one may not get to run."""
    return subprocess.Popen(["sh", "-c", f"sleep {4 * SOON}; kill -TERM {os.getpid()}"])


async def run_until_signalled(body, heard):
    """Run the hook beside other work, as fetchers do, while the process gets a signal."""
    with handle_signals(asyncio.get_running_loop(), lambda: heard.append("interrupt"), hook_seconds=SOON):
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(LONG))
            with signalled_from_outside():
                call_hook(Row(body), "populate", returns=ANYTHING)


@pytest.mark.parametrize("body", [sleeps, spins, matches])
def test_a_hook_that_does_not_return_is_ended(body):
    heard: list[str] = []
    with pytest.raises(BaseExceptionGroup) as ended:
        asyncio.run(run_until_signalled(body, heard))
    asked = ImportInterrupted("stopped")
    assert heard == ["interrupt"]
    assert isinstance(end_of(ended.value, None), HookInterrupted)
    assert end_of(ended.value, asked) is asked


def test_a_hook_that_returns_is_not_disturbed():
    heard = asyncio.Event()

    async def work():
        with handle_signals(asyncio.get_running_loop(), heard.set, hook_seconds=LONG):
            call_hook(Row(lambda: os.kill(os.getpid(), signal.SIGTERM)), "populate", returns=ANYTHING)
            await heard.wait()

    before = signal.getsignal(signal.SIGTERM)
    asyncio.run(work())
    assert signal.getsignal(signal.SIGTERM) is before
