"""Answers of details: a bad one fails its item, not the import, and part of a body is not stored as the whole."""

from datetime import timedelta

import httpx
import pytest

from import_pipeline.sources.items import ItemsSource
from import_pipeline_tests.support.changing_list import ChangingList, detail, import_list
from import_pipeline_tests.support.imports import counts, reasons, rows

ALONE = {"ITEMS_CONCURRENCY": "1", "ITEMS_TRIES": "2", "ITEMS_BACKOFF": "0.01"}


def answering(answers, ids=range(1, 41)):
    """A list of those ids; for a detail, its answers in turn, and the good one after them."""
    shelf, left = ChangingList(ids, size=100), {str(key): list(each) for key, each in answers.items()}

    def answer(request):
        waiting = left.get(request.url.path.rpartition("/")[2], [])
        return waiting.pop(0) if waiting else shelf(request)

    return answer


@pytest.mark.parametrize("status", [403, 451])
def test_one_item_that_we_may_not_have_is_its_own_failure(home, status):
    summary, configured = import_list(answering({7: [httpx.Response(status)]}), home, **ALONE)
    assert counts(summary) == ("completed", 40, 39, 0, 1)
    assert reasons(configured)["7"].startswith(f"the API answers {status} ")


@pytest.mark.parametrize("status", [403, 451])
def test_ten_in_a_row_that_we_may_not_have_end_the_import_and_the_rest_is_left(home, status):
    answers = {number: [httpx.Response(status)] for number in range(3, 41)}
    summary, _ = import_list(answering(answers), home, **ALONE)
    assert (summary.status, summary.items_imported_count, summary.items_failed_count) == ("failed", 2, 10)
    assert summary.failure_reason.startswith(f"10 items in a row failed for the same reason (the API answers {status} ")


def test_items_that_we_may_not_have_here_and_there_end_nothing(home):
    answers = {number: [httpx.Response(403)] for number in range(1, 41) if number % 9}
    summary, _ = import_list(answering(answers), home, **ALONE)
    assert (summary.status, summary.items_failed_count) == ("completed", len(answers))


@pytest.mark.parametrize("status", [202, 206])
def test_a_partial_detail_is_requested_again(home, status):
    part = httpx.Response(status, json=detail("7") | {"name": "a part"})
    summary, configured = import_list(answering({7: [part], 8: [part, part]}), home, **ALONE)
    assert counts(summary) == ("completed", 40, 39, 0, 1)
    assert rows(configured)["7"]["name"] == "n"
    assert reasons(configured)["8"].startswith(f"the API answers {status} ")


def test_a_detail_that_is_not_ready_is_requested_after_the_wait_that_the_api_names(home):
    later = httpx.Response(202, headers={"Retry-After": "1"})
    summary, _ = import_list(answering({7: [later]}), home, **ALONE)
    assert counts(summary) == ("completed", 40, 40, 0, 0)
    assert summary.duration_seconds >= 1


def test_waiting_for_the_next_try_of_an_item_is_a_part_of_its_own(home):
    broken = httpx.Response(500)
    summary, _ = import_list(answering({7: [broken]}), home, ITEMS_BACKOFF="2", ITEMS_LIMITS="30/1 second")
    parts = summary.active_seconds + summary.total_sleep_seconds + summary.retry_wait_seconds + summary.away_seconds
    assert summary.retry_wait_seconds > 0.5
    assert parts == pytest.approx(summary.duration_seconds, abs=0.01)
    assert summary.ideal_ratio == pytest.approx(
        (summary.duration_seconds - summary.retry_wait_seconds) / summary.ideal_seconds, rel=0.01
    )


def test_an_import_without_failed_tries_waits_for_none(home):
    summary, _ = import_list(answering({}), home, **ALONE)
    assert summary.retry_wait_seconds == 0


def test_a_wait_without_an_end_is_bounded_by_the_source(home):
    source = type("Impatient", (ItemsSource,), {"max_pause": timedelta(seconds=0.2)})()
    later = httpx.Response(202, headers={"Retry-After": "99999999999"})
    summary, _ = import_list(answering({7: [later]}), home, source, **ALONE)
    assert counts(summary) == ("completed", 40, 40, 0, 0)


def test_a_login_page_in_place_of_data_is_named_with_its_title(home):
    page = httpx.Response(200, html="<!doctype html><html><title>Log in</title></html>")
    summary, configured = import_list(answering({7: [page]}), home, **ALONE)
    assert counts(summary) == ("completed", 40, 39, 0, 1)
    assert reasons(configured)["7"].endswith("the body is an HTML page titled 'Log in' from https://api.test, not data")


def test_a_login_page_in_place_of_the_list_is_named_with_its_title(home):
    summary, _ = import_list(lambda request: httpx.Response(200, html="<html><title>Log in</title>"), home, **ALONE)
    assert summary.status == "failed"
    assert "the body is an HTML page titled 'Log in' from https://api.test, not data" in summary.failure_reason


def test_a_detail_in_latin_1_is_read_as_it_declares(home):
    headers = {"Content-Type": "application/json; charset=ISO-8859-1"}
    body = '{"name": "Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}", "price": "1.00"}'
    answer = httpx.Response(200, headers=headers, content=body.encode("latin-1"))
    summary, configured = import_list(answering({7: [answer]}), home, **ALONE)
    assert counts(summary) == ("completed", 40, 40, 0, 0)
    assert rows(configured)["7"]["name"] == "Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}"


CHARSETS = [
    "rot13",
    "zlib",
    "hex",
    "base64",
    "utf-16",
    "utf-32",
    "idna",
    "punycode",
    "undefined",
    "klingon",
    '"',
    "utf-7",
]


@pytest.mark.parametrize("keep", [False, True])
def test_no_charset_of_a_rejected_body_concerns_any_other_item(home, keep):
    answers = {
        number: [httpx.Response(400, headers={"Content-Type": f"text/html; charset={charset}"}, content=b"<p>no\xff")]
        for number, charset in enumerate(CHARSETS, start=1)
    }
    source = type("Keeping", (ItemsSource,), {"keep_payloads": keep})()
    summary, configured = import_list(answering(answers), home, source, **ALONE)
    assert counts(summary) == ("completed", 40, 40 - len(CHARSETS), 0, len(CHARSETS))
    assert set(reasons(configured).values()) == {"the API answers 400 Bad Request, expected 200 with a body"}


def test_a_tag_that_cannot_be_sent_back_is_not_kept(home):
    source = type("Asking", (ItemsSource,), {"conditional": True})()
    tagged = httpx.Response(
        200, json=detail("7"), headers=[(b"ETag", '"\N{LATIN SMALL LETTER E WITH DIAERESIS}"'.encode("latin-1"))]
    )
    for _ in range(2):
        summary, _ = import_list(answering({7: [tagged]}), home, source, **ALONE)
        assert (summary.status, summary.items_failed_count) == ("completed", 0)
