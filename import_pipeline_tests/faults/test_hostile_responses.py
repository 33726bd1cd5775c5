"""Harmful responses from a real server: each fails its own item with a reason, and memory does not grow."""

import gzip
import os
import subprocess
import sys

import pytest

from import_pipeline import run_import
from import_pipeline_tests.support.hostile_server import (
    compression_bomb,
    endless_body,
    honest_body,
    hostile_server,
    reset_in_body,
    short_body,
    slow_body,
    slow_head,
)
from import_pipeline_tests.support.imports import environment_of, latest, reasons, rows, settings

PACKED = "Content-Encoding: gzip"
BOMB = compression_bomb(200)
DETAIL = b'{"id": 1, "name": "n", "price": "1.00"}'
CAP = " If this is normal for this API, raise ITEMS_MAX_BODY or ItemsSource.max_depth"
NO_ANSWER = "no answer within 1.5 s"
#: Bytes that a hostile import may use beyond an honest one: two bodies of 1 MB and their parsed form, with reserve.
ROOM = 64 * 1024 * 1024

TRICKS = {
    "honest": (honest_body, None),
    "endless": (endless_body, "the body is longer than 1,048,576 bytes." + CAP),
    "huge": (lambda line: line.body(b'"' + b"x" * 1_048_576), "the body is longer than 1,048,576 bytes." + CAP),
    "bomb": (
        lambda line: line.body(BOMB, PACKED),
        "the body unpacks to more than 1,048,576 bytes." + CAP,
    ),
    "deep": (lambda line: line.body(b"[" * 100_000), "the body's JSON nests more than 100 levels deep." + CAP),
    "deep-objects": (
        lambda line: line.body(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        "the body's JSON nests more than 100 levels deep." + CAP,
    ),
    "deep-packed": (
        lambda line: line.body(gzip.compress(b"[" * 100_000 + b"]" * 100_000), PACKED),
        "the body's JSON nests more than 100 levels deep." + CAP,
    ),
    "drip": (slow_body, NO_ANSWER),
    "drip-head": (slow_head, NO_ANSWER),
    "short": (short_body, "payload is not completed"),
    "reset": (reset_in_body, "reset by peer"),
    "cut": (lambda line: line.body(gzip.compress(DETAIL * 50)[:-30], PACKED), "the packed body breaks off"),
    "no-gzip": (lambda line: line.body(DETAIL, PACKED), "incorrect header check"),
    "no-http": (lambda line: line.say(b"garbage\r\n\r\n"), "the answer cannot be read"),
    "fat-head": (lambda line: line.body(DETAIL, "X-Fat: " + "x" * 100_000), "the answer cannot be read"),
    "lying-length": (lambda line: line.say(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"), "cannot be read"),
    "closed": (lambda line: None, "the connection broke before the answer came"),
}


#: Imports twice, from an honest server and from a hostile one; prints the bytes by which the second grew the process.
PROGRAM = """
import os, resource, sys
from import_pipeline import run_import
from import_pipeline.settings import load_settings
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
run_import("items", settings=load_settings({**os.environ, "ITEMS_BASE_URL": sys.argv[1]}))
before = peak()
run_import("items", settings=load_settings({**os.environ, "ITEMS_BASE_URL": sys.argv[2]}))
print(peak() - before)
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """Return (reasons by item, rows by item, the import's row, bytes by which the importing process grew)."""
    home = tmp_path_factory.mktemp("hostile") / "home"
    options = {
        "ITEMS_MAX_BODY": "1048576",
        "ITEMS_TIMEOUT": "1.5",
        "ITEMS_TRIES": "1",
        "ITEMS_BACKOFF": "0.01",
        "ITEMS_CEILING": "4",
        "ITEMS_CONCURRENCY": "4",
    }
    with (
        hostile_server({"honest": honest_body}) as url,
        hostile_server({name: trick for name, (trick, _) in TRICKS.items()}) as bad_url,
    ):
        environment = {**os.environ, **environment_of(home, url, **options)}
        command = [sys.executable, "-c", PROGRAM, url, bad_url]
        said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert said.returncode == 0, said.stderr
    configured = settings(home, bad_url)
    return reasons(configured), rows(configured), latest(configured), int(said.stdout)


@pytest.mark.parametrize("name", TRICKS)
def test_a_hostile_detail_fails_its_own_item_with_the_reason(outcome, name):
    expected = TRICKS[name][1]
    found = outcome[0].get(name)
    assert found == expected or expected in found


def test_all_other_items_are_imported(outcome):
    _, imported, row, _ = outcome
    assert imported["honest"]["name"] == "n"
    assert (row.status, row.items_imported_count, row.items_failed_count) == ("completed", 1, len(TRICKS) - 1)


def test_hostile_answers_are_never_held_in_memory_whole(outcome):
    """The answers are 2 GB of JSON, and 200 MB from a compressed body of 200 KB."""
    assert outcome[3] < ROOM


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (endless_body, "list page 1: the body is longer than 1,048,576 bytes." + CAP),
        (lambda line: line.body(BOMB, PACKED), "list page 1: the body unpacks to more than 1,048,576 bytes." + CAP),
        (lambda line: line.body(b"[" * 100_000), "list page 1: the body's JSON nests more than 100 levels deep." + CAP),
    ],
)
def test_a_hostile_list_ends_the_import_with_the_reason(home, page, reason):
    with hostile_server({}, page=page) as url:
        summary = run_import("items", settings=settings(home, url, ITEMS_MAX_BODY="1048576", ITEMS_BACKOFF="0.01"))
    assert (summary.status, summary.failure_reason) == ("failed", reason)
