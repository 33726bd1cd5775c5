"""Relative requests without a body: the same as httpx builds them."""

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from import_pipeline.importer.access.relative_requests import RelativeRequests

BASES = [
    "http://api.example.com",
    "https://api.example.com:8443/v2",
    "http://[::1]:8000/a%2fb/",
    "http://bücher.example",
]
HEADERS = {"Authorization": "Bearer abc", "User-Agent": "theirs"}


def client_of(base):
    """A client that only builds requests: one that also sent them would read all certificates first (25 ms)."""
    return httpx.AsyncClient(
        base_url=base,
        headers={"User-Agent": "ours", "Accept": "application/json"},
        timeout=None,
        transport=httpx.MockTransport(lambda request: httpx.Response(500)),
    )


def built(client, request):
    """The request as httpx's client builds it, with the connector's headers."""
    made = client.build_request(request.method, request.url, headers=request.headers.raw, content=request.read())
    made.headers.update({name: value for name, value in HEADERS.items() if name not in request.headers})
    return made


def parts(request):
    headers = sorted((name.lower(), value) for name, value in request.headers.raw)
    return request.method, str(request.url), request.url.raw_path, request.url, headers, request.content


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "options"])
@pytest.mark.parametrize(
    "target",
    ["/items/1", "items/1", "", "/", "?page=2", "/a?x=a b&y=%7e", "/ä/%C3%A4;p?q=ü", "/items?", "/x#part"],
)
def test_a_relative_request_is_the_one_that_httpx_builds(base, method, target):
    client, request = client_of(base), httpx.Request(method, target, headers={"X-Own": "1", "accept": "text/csv"})
    joined = RelativeRequests(client, HEADERS).joined(request)
    assert joined is not None
    assert parts(joined) == parts(built(client, request))
    assert parts(request) == parts(httpx.Request(method, target, headers={"X-Own": "1", "accept": "text/csv"}))


@settings(max_examples=100)
@given(st.text(st.characters(codec="utf-8", min_codepoint=32, exclude_characters="\x7f"), max_size=30))
@example("a/../b")
@example("../../b?../c")
def test_any_target_is_joined_as_httpx_joins_it_or_left_to_it(text):
    client = client_of(BASES[1])
    try:
        request = httpx.Request("GET", f"/{text}")
    except httpx.InvalidURL:
        return
    joined = RelativeRequests(client, HEADERS).joined(request)
    assert joined is None or parts(joined) == parts(built(client, request))


@pytest.mark.parametrize(
    "request_",
    [
        httpx.Request("GET", "https://api.example.com/items/1"),
        httpx.Request("POST", "/items", json={"ids": [1]}),
        httpx.Request("POST", "/items"),
        httpx.Request("GET", "/items", content=b"x"),
        httpx.Request("GET", "/items", headers={"Host": "other.example"}),
        httpx.Request("GET", "/items", headers={"Transfer-Encoding": "chunked"}),
        httpx.Request("GET", "/items/../1"),
        httpx.Request("GET", "//items/1"),
    ],
    ids=["absolute", "body", "method", "content", "host", "framed", "dots", "host in the path"],
)
def test_another_request_is_left_to_httpx(request_):
    assert RelativeRequests(client_of(BASES[0]), HEADERS).joined(request_) is None


def test_a_base_address_with_a_query_is_left_to_httpx():
    requests = RelativeRequests(client_of("https://api.example.com/rpc?key=1"), {})
    assert requests.joined(httpx.Request("GET", "/items")) is None
