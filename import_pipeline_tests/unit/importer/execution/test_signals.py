"""The signals that end a process, and the time in which they are handled."""

import asyncio
import signal
import time
from contextlib import closing

import pytest

from import_pipeline.importer.execution.signals import handle_signals, stop_signals


@pytest.fixture
def hangup():
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(("handler", "is_heard"), [(signal.SIG_DFL, True), (signal.SIG_IGN, False)])
def test_a_closed_terminal_ends_it_unless_the_signal_is_ignored(hangup, handler, is_heard):
    signal.signal(signal.SIGHUP, handler)
    assert stop_signals() == [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if is_heard else [])]


def test_no_reminder_of_a_signal_comes_after_the_work_has_ended(monkeypatch):
    """It would reach the earlier handler, which by default ends the process in the middle of its last message."""
    late, began = [], []
    kill = signal.pthread_kill

    def slowly(thread, number):
        began.append(number)
        time.sleep(0.05)  # as on a busy machine: meanwhile the work ends
        kill(thread, number)

    monkeypatch.setattr(signal, "pthread_kill", slowly)
    before = signal.signal(signal.SIGTERM, lambda *_: late.append(1))
    try:
        with closing(asyncio.new_event_loop()) as loop:
            with handle_signals(loop, lambda: None, hook_seconds=0.001):
                signal.raise_signal(signal.SIGTERM)
                while not began:
                    time.sleep(0.001)
            time.sleep(0.1)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert late == []
