"""Parameters of a connector: added when a request is sent, with the rest of its address unchanged."""

import httpx
import pytest

from import_pipeline.importer.access.credentials import with_params

KEY = {"appid": "k 1/ä"}


@pytest.mark.parametrize(
    ("address", "sent"),
    [
        ("https://a.test/x", "/x?appid=k+1%2F%C3%A4"),
        ("https://a.test/x?", "/x?appid=k+1%2F%C3%A4"),
        ("https://a.test/x?page=2", "/x?page=2&appid=k+1%2F%C3%A4"),
        ("https://a.test/a%2fb?x=a%20b+c&y=%7e~'()*!", "/a%2fb?x=a%20b+c&y=%7e~'()*!&appid=k+1%2F%C3%A4"),
        ("https://a.test/a?cursor=abc==", "/a?cursor=abc==&appid=k+1%2F%C3%A4"),
        ("https://a.test/x?appid=own", "/x?appid=own"),
        ("https://a.test/x?appid=", "/x?appid="),
    ],
)
def test_parameters_follow_the_query_unless_the_request_has_them(address, sent):
    assert with_params(httpx.URL(address), KEY).raw_path.decode() == sent
