"""A declared path of the items that no import has found fails the first import at once; a known one is tried again."""

import httpx
import pytest

from import_pipeline.declarative.files import load_file
from import_pipeline.testing import CannedTransport, FakeClock
from import_pipeline.tracking import imports
from import_pipeline_tests.support.imports import import_through, settings, tracking

GOOD = {"data": [{"id": 1}], "next": None}
LACKING = {"dta": [], "next": None}
DECLARED = {
    "rest": "name: orders\nbase_url: https://api.test\nlist: /orders\nitems: data\npages: one_page\ncolumns: {}\n",
    "slices": "name: orders\nbase_url: https://api.test\nlist: '/orders/{slice}'\nslices: [a, b]\nitems: data\n"
    "pages: one_page\ncolumns: {}\n",
}


@pytest.fixture
def importing(home):
    """Import the declaration with the answers in turn; the last one repeats. Return summary, reason and sleeps."""
    home.mkdir(exist_ok=True)
    file = home / "shop.yaml"
    configured, clock = settings(home, "https://api.test"), FakeClock()

    def run(answers, words=DECLARED["rest"]):
        file.write_text(words)
        [source] = load_file(file, {})
        left, before = iter(answers), len(clock.sleeps)

        def answer(_):
            return next(left, answers[-1])

        summary = import_through(CannedTransport(answer), source, configured, clock=clock)
        with tracking(configured) as connection:
            row = imports.get(connection, summary.import_id)
        waits = [each for each in clock.sleeps[before:] if each > 9]
        return summary, row.failure_reason or row.incomplete_reason, waits

    return run


def test_a_path_that_no_import_has_found_fails_at_once_with_the_near_word(importing, home):
    summary, reason, waits = importing([GOOD], DECLARED["rest"].replace("items: data", "items: dta"))
    assert (summary.status, waits) == ("failed", [])
    assert reason == (
        "list page 1: orders.items: expected a list at dta in the answer, got an object with data, next (did you mean "
        f"data?) ({home}/shop.yaml); GET https://api.test/orders answers so, and no import has found that list"
    )


@pytest.mark.parametrize(
    ("path", "body", "question"),
    [
        (".", GOOD, "(did you mean data?)"),
        ("orders", GOOD, "(did you mean data?)"),
        ("data", {"data": {"orders": [], "count": 0}}, "(did you mean data.orders?)"),
        ("data.order", {"data": {"orders": []}}, "(did you mean data.orders?)"),
        ("data", {"items": [], "others": []}, "an object with items, others"),
        ("data", {}, "an empty object"),
        ("data", [{"id": 1}], "a list (did you mean ., the whole answer?)"),
    ],
)
def test_other_wrong_paths_fail_at_once_too(importing, path, body, question):
    summary, reason, waits = importing([body], DECLARED["rest"].replace("items: data", f"items: {path}"))
    assert (summary.status, waits) == ("failed", [])
    assert question in reason


@pytest.mark.parametrize(
    "body",
    [
        {"data": None},
        {"errors": [{"message": "Throttled"}]},
        {"ok": False, "error": "busy"},
        httpx.Response(200, text="<html></html>"),
    ],
)
def test_an_answer_that_proves_no_wrong_path_is_requested_again(importing, body):
    summary, _, waits = importing([body, GOOD])
    assert (summary.status, len(waits)) == ("completed", 1)


def test_a_path_that_an_earlier_import_has_found_is_tried_again(importing):
    assert importing([GOOD])[0].status == "completed"
    summary, _, waits = importing([LACKING, GOOD])
    assert (summary.status, len(waits)) == ("completed", 1)
    summary, reason, waits = importing([GOOD], DECLARED["rest"].replace("items: data", "items: dta"))
    assert (summary.status, waits) == ("failed", [])  # the declaration has changed, and no import knows this path
    assert "did you mean data?" in reason


def test_a_later_page_is_tried_again(importing):
    words = DECLARED["rest"].replace("one_page", "{type: cursor, next: next, param: after}")
    summary, _, waits = importing([{"data": [{"id": 1}], "next": 2}, {"next": 2}, GOOD], words)
    assert (summary.status, summary.items_count, len(waits)) == ("completed", 1, 1)


def test_slices_fail_at_once_until_one_has_been_read(importing):
    summary, reason, waits = importing([LACKING], DECLARED["slices"])
    assert (summary.slices_failed_count, waits) == (2, [])
    assert "did you mean dta?" in reason
    assert importing([GOOD], DECLARED["slices"])[0].slices_failed_count == 0
    summary, _, _ = importing([LACKING, LACKING, GOOD], DECLARED["slices"])
    assert summary.slices_failed_count == 0
