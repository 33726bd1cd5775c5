"""The meaning of a status for a list page."""

import pytest

from import_pipeline.rules.lists.page_status import PageVerdict, judge_page

VERDICTS = [
    (PageVerdict.READ, [200, 201, 203, 206, 226]),
    (PageVerdict.ABSENT, [204, 205]),
    (PageVerdict.AGAIN, [202, 304, 408, 425, 500, 502, 503, 504]),
    (PageVerdict.REJECTED, [400, 404, 405, 410, 412, 416, 422]),
    (PageVerdict.FAILED, [301, 302, 403, 451]),
    (PageVerdict.STOP, [401]),
]


@pytest.mark.parametrize(("verdict", "status"), [(verdict, status) for verdict, many in VERDICTS for status in many])
def test_each_status_has_its_verdict_and_a_reason_unless_it_can_be_read(verdict, status):
    found, reason = judge_page(status, setting="ITEMS_TOKEN")
    assert found is verdict
    assert bool(reason) == (verdict not in {PageVerdict.READ, PageVerdict.ABSENT})


def test_a_page_is_not_called_an_item():
    assert judge_page(404, setting="")[1] == "the API answers 404 Not Found: it has no such page (anymore)"
