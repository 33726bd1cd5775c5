"""Which signals tell a process to end."""

import signal

import pytest

from import_pipeline.importer.interruption import endings


@pytest.fixture
def hangup():
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(("handler", "is_heard"), [(signal.SIG_DFL, True), (signal.SIG_IGN, False)])
def test_a_closed_terminal_ends_it_unless_it_was_told_to_outlive_one(hangup, handler, is_heard):
    signal.signal(signal.SIGHUP, handler)
    assert endings() == [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if is_heard else [])]
