"""Signs of a next page, and bodies of last pages that have none."""

import pytest

from import_pipeline.rules.lists.continuation import named_next

LINK = '<https://api.test/things?page=2>; rel="next last"'


@pytest.mark.parametrize(
    ("headers", "body", "sign"),
    [
        ([LINK], [], "its Link header"),
        ([], {"next": "/things?page=2"}, "its field next"),
        ([], {"links": {"next": {"href": "/things?page=2"}}}, "its field next"),
        ([], {"meta": {"next_page": 3}}, "its field next_page"),
        ([], {"response_metadata": {"next_cursor": "dXNlcg=="}}, "its field next_cursor"),
        ([], {"nextPageToken": "CAE"}, "its field nextpagetoken"),
        ([], {"@odata.nextLink": "https://api.test/$skiptoken=2"}, "its field @odata.nextlink"),
        ([], {"pageInfo": {"hasNextPage": True, "endCursor": "b"}}, "its field hasnextpage"),
        ([], {"has_more": True}, "its field has_more"),
    ],
)
def test_a_page_that_names_a_next_one_is_no_last_page(headers, body, sign):
    assert named_next(headers, body) == sign


def test_on_an_empty_page_a_cursor_is_no_sign_and_a_link_is():
    assert named_next([], {"next_cursor": "b"}, is_empty=True) is None
    assert named_next([LINK], {}, is_empty=True) == "its Link header"
    assert named_next([], {"has_more": True}, is_empty=True) == "its field has_more"


#: Last pages of well-known APIs.
LAST_PAGES = {
    "GitHub": (['<https://api.test/?page=1>; rel="prev", <https://api.test/?page=1>; rel="first"'], []),
    "Slack": ([], {"ok": True, "response_metadata": {"next_cursor": ""}}),
    "Stripe": ([], {"object": "list", "has_more": False, "url": "/v1/charges"}),
    "Notion": ([], {"results": [], "next_cursor": None, "has_more": False}),
    "Zendesk": (
        [],
        {"meta": {"has_more": False, "after_cursor": "x"}, "links": {"next": "/tickets?page[after]=x"}},
    ),
    "Zendesk export": ([], {"next_page": "https://api.test/incremental?start_time=1", "end_of_stream": True}),
    "Salesforce": ([], {"done": True, "totalSize": 2}),
    "HubSpot": ([], {"results": []}),
    "Google": ([], {"items": [], "nextSyncToken": "CPDAlvWDx70CEPDAlvWDx70CGAU="}),
    "Facebook": ([], {"data": [], "paging": {"cursors": {"before": "a", "after": "b"}, "previous": "/x"}}),
    "Spring": ([], {"content": [], "last": True, "number": 4, "totalPages": 5, "first": False}),
    "Laravel": ([], {"links": {"first": "/?page=1", "last": "/?page=2", "next": None}, "meta": {"current_page": 2}}),
    "Jira": ([], {"isLast": True, "nextPage": None}),
    "Elasticsearch": ([], {"_scroll_id": "x", "hits": {"total": {"value": 10000}, "hits": []}}),
    "a page that links to itself": (['</things?page=2>; rel="next"'], {"next": "/things?page=2"}),
    "bare items": ([], [1, 2]),
    "no JSON": ([], None),
    "items with such names": ([], {"data": [{"next": "/chapter/2", "has_more": True}]}),
    "no next number": ([], {"next_page": 0}),
}


@pytest.mark.parametrize("api", LAST_PAGES)
def test_a_last_page_raises_no_alarm(api):
    headers, body = LAST_PAGES[api]
    assert named_next(headers, body, known=["https://api.test/things?page=2", "/things?page=2"]) is None
