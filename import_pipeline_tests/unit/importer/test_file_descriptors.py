"""The limit on open files: connections within it, and the sentence if one is too many."""

import errno
import resource

import httpx
import pytest

from import_pipeline.importer.file_descriptors import ADVICE, RESERVE, are_too_few, in_use, room
from import_pipeline.importer.runtime.sending import describe_connection_error
from import_pipeline.rules.concurrency import within


@pytest.fixture
def limited():
    """Set the process's own limit."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda most: resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_what_is_open_and_what_else_is_needed_is_left_out(limited):
    limited(in_use() + RESERVE + 20)
    assert room() == pytest.approx(20, abs=2)
    limited(in_use() + 3)
    assert room() == 1


@pytest.mark.parametrize(("wanted", "left", "number"), [(100, None, 100), (100, 20, 20), (10, 20, 10), (10, 0, 1)])
def test_no_more_are_in_flight_than_there_is_room_for(wanted, left, number):
    assert within(wanted, left) == number


def test_a_connection_for_which_no_file_was_left_says_so():
    error = httpx.ConnectError("Cannot connect to host 127.0.0.1:1 ssl:default [Too many open files]")
    error.__cause__ = OSError(errno.EMFILE, "Too many open files")
    assert describe_connection_error(error) == ADVICE
    assert not are_too_few(OSError(errno.ECONNREFUSED, "Connection refused"))
    assert not are_too_few(None)
