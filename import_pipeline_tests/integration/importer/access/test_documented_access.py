"""The example of docs/sources/access.md, as it stands."""

import re
from pathlib import Path

import httpx

from import_pipeline.testing import CannedTransport, check_conformance, rehearse

PAGE = Path(__file__).parents[4] / "docs" / "sources" / "access.md"


def source():
    """Return the source of the page's example."""
    [example] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {}
    exec(example, names)
    [found] = names["SOURCES"]
    return found


def api(request):
    """Answer as an API with a token server does."""
    if request.url.host == "login.example.com":
        return {"access_token": "access-5d20c8", "expires_in": 3600}
    if request.headers.get("authorization") not in {"Bearer access-5d20c8", "Bearer rehearsal-token"}:
        return httpx.Response(401)
    if request.url.path.endswith("/orders"):
        return {"data": [{"id": 1}, {"id": 2}] if request.url.params.get("page") == "1" else []}
    return {"total": f"{request.url.path[-1]}.00"}


def test_the_example_is_rehearsed_with_a_token_of_its_server(tmp_path):
    transport = CannedTransport(api)
    rehearsal = rehearse(source(), transport, tmp_path, {"ORDERS_CLIENT_SECRET": "a-secret-of-tests"})
    assert {name: row["total"] for name, row in rehearsal.rows.items()} == {"1": "1.00", "2": "2.00"}
    [asked] = [request for request in transport.requests if request.url.host == "login.example.com"]
    assert dict(httpx.QueryParams(asked.content.decode())) == {
        "grant_type": "client_credentials",
        "client_id": "rehearsal-client_id",
        "client_secret": "a-secret-of-tests",
        "scope": "orders.read",
    }


def test_the_example_conforms_without_a_token_server(tmp_path):
    def answer(request):
        if request.url.host == "login.example.com":
            raise LookupError("no canned answer")
        return api(request)

    found = check_conformance(source(), CannedTransport(answer), tmp_path, show=lambda line: None)
    assert "an access token that the API refuses is renewed once" in [each.name for each in found]
    assert [each for each in found if each.problem is not None] == []
