"""The shapes from a client's side, without a server: each refuses what breaks its rules, and counts it."""

from contextlib import asynccontextmanager

import httpx
import pytest

from source_api.errors import BadOption
from source_api.shapes import SHAPES, TOKEN, ShapeOptions
from source_api.shapes.__main__ import main
from source_api.shapes.records import iso

pytestmark = pytest.mark.anyio

BEARER = {"Authorization": f"Bearer {TOKEN}"}
SHOP = {"X-Access-Token": TOKEN}
ORDERS = "query($first: Int!, $after: String) { orders(first: $first, after: $after) { nodes { id name } } }"


@asynccontextmanager
async def client(name, headers=None, clock=lambda: 0.0, **options):
    """Yield a client of a new shape, and the shape."""
    shape = SHAPES[name](ShapeOptions(**options), clock=clock)
    transport = httpx.ASGITransport(shape.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shape", headers=headers or BEARER) as opened:
        yield opened, shape


def get(path, **more):
    return "GET", path, more


def post(path, body, **more):
    return "POST", path, {"json": body, **more}


def orders(**variables):
    return post("/graphql.json", {"query": ORDERS, "variables": variables}, headers=SHOP)


def search(**body):
    return post("/contacts/search", body)


def window(name, operator="GTE", value="2024-01-01T00:00:00Z"):
    return [{"filters": [{"propertyName": name, "operator": operator, "value": value}]}]


def token(**form):
    known = {"client_id": "shape-client", "client_secret": "shape-secret"}
    return "POST", "/oauth/token", {"data": known | form}


REFUSED = [
    ("link_header", get("/issues", headers={"Authorization": "Bearer wrong"}), 401, "wrong or missing token"),
    ("link_header", get("/issues", headers={"User-Agent": ""}), 403, "a User-Agent is required"),
    ("link_header", get("/issues?per_page=101"), 422, "per_page: expected a number from 1 to 100, got 101"),
    ("link_header", get("/issues?pages=2"), 400, "unknown parameters: pages"),
    ("link_header", get("/issues?since=yesterday"), 422, "since: expected a time with an offset"),
    ("link_header", get("/nothing"), 404, "Not Found"),
    ("link_header", post("/issues", {}), 405, "Method Not Allowed"),
    ("graphql", post("/graphql.json", {"query": ORDERS}), 401, "wrong or missing X-Access-Token"),
    ("graphql", orders(first=251), 422, "first: expected a number from 1 to 100, got 251"),
    ("graphql", orders(first=1, after="b2g="), 200, "unknown cursor oh"),
    ("graphql", orders(first=1, query="name:x"), 200, "unknown filter 'name:x'"),
    ("graphql", orders(first=1, page=2), 200, "unknown variables ['page']"),
    ("graphql", post("/graphql.json", {"query": "{ shop }"}, headers=SHOP), 200, "unknown field or connection"),
    ("last_id", get("/v1/customers?starting_after=cus_99"), 400, "No such object: cus_99"),
    ("last_id", get("/v1/customers/cus_99"), 404, "No such customer: cus_99"),
    ("last_id", get("/v1/customers?limit=101"), 422, "limit: expected a number from 1 to 100, got 101"),
    ("search", search(limit=100, after="9901"), 400, "no results beyond 10000: narrow the search"),
    ("search", search(query="x"), 400, "unknown fields: ['query']"),
    ("search", search(filterGroups=window("name")), 400, "unknown filter: "),
    ("search", search(filterGroups=window("createdate", value="now")), 400, "unknown filter: "),
    ("search", search(filterGroups=window("createdate", operator="BETWEEN")), 400, "unknown filter: "),
    ("search", search(sorts=[{"propertyName": "createdate", "direction": "UP"}]), 400, "unknown sort: "),
    ("search", post("/contacts/batch/read", {"inputs": [], "properties": []}), 400, "expected 1 to 100 inputs, got 0"),
    ("search", post("/contacts/batch/read", {"inputs": [{"id": "1"}] * 2, "properties": []}), 400, "duplicate ids"),
    ("search", post("/contacts/batch/read", {"inputs": [{"id": 1}], "properties": ["x"]}), 400, "unknown property: x"),
    ("search", ("POST", "/contacts/search", {"content": b"{}"}), 415, "the body must be application/json"),
    ("export", get("/incremental/tickets.json"), 400, "start_time is required"),
    ("export", get("/incremental/tickets.json?start_time=99999999999"), 422, "start_time must be at least a minute"),
    ("oauth", get("/query?q=SELECT Id FROM Account"), 401, "INVALID_SESSION_ID: no token, or an expired one"),
    ("oauth", token(grant_type="password"), 400, "grant password"),
    ("oauth", token(grant_type="refresh_token", refresh_token="x"), 400, "a refresh token was used twice"),
    ("oauth", token(grant_type="client_credentials", client_secret="x"), 401, "invalid_client"),
    ("children", post("/search", {"jql": "DROP TABLE"}), 400, "cannot read the JQL DROP TABLE"),
    ("children", get("/issue/KEY-99/comment"), 404, "Issue does not exist"),
    ("plain", get("/ids?page=0"), 422, "page: expected a number from 1 to any, got 0"),
]


@pytest.mark.parametrize(("name", "request_of", "status", "reason"), REFUSED, ids=lambda value: str(value)[:40])
async def test_what_breaks_a_rule_is_refused_and_counted(name, request_of, status, reason):
    method, path, more = request_of
    async with client(name) as (http, shape):
        answer = await http.request(method, path, **more)
        [refusal] = shape.counters.refusals
        assert (answer.status_code, shape.counters.refused) == (status, 1)
        assert refusal.startswith(f"{path.partition('?')[0]}: {reason}")


OVER_LIMITS = [
    ("link_header", "900/60 second", get("/issues/1"), 900, 403),
    ("graphql", "1000/20 second", orders(first=98), 10, 200),
    ("last_id", "25/1 second", get("/v1/events"), 25, 429),
    ("search", "its own limit", search(), 5, 429),
    ("export", "10/60 second", get("/incremental/tickets.json?start_time=0"), 10, 429),
    ("children", "50/1 second", get("/issue/KEY-1/comment"), 50, 429),
    ("plain", "60/1 second", get("/ids"), 60, 429),
]


@pytest.mark.parametrize(("name", "limits", "request_of", "admitted", "status"), OVER_LIMITS)
async def test_requests_over_the_limits_are_refused_without_a_hint_where_the_original_gives_none(
    name, limits, request_of, admitted, status
):
    method, path, more = request_of
    now = [0.0]
    async with client(name, clock=lambda: now[0]) as (http, shape):
        answers = [await http.request(method, path, **more) for _ in range(admitted + 1)]
        assert (shape.counters.refused, answers[-1].status_code) == (1, status)
        assert ("Retry-After" in answers[-1].headers) is (status == 429)
        now[0] = 60.0
        await http.request(method, path, **more)
        assert (shape.counters.refused, shape.counters.kinds.total()) == (1, admitted + 2)


async def test_an_access_token_expires_and_a_refresh_token_is_good_for_one_request():
    now = [0.0]
    async with client("oauth", {"X": "x"}, lambda: now[0], token_seconds=2) as (http, shape):
        method, path, more = token(grant_type="refresh_token", refresh_token="refresh-0")
        first = (await http.request(method, path, **more)).json()
        bearer = {"Authorization": f"Bearer {first['access_token']}"}
        since = iso(shape.records.get(37).modified)
        query = {"q": f"SELECT Id,Name FROM Account WHERE SystemModstamp >= {since}"}
        page = (await http.get("/query", params=query, headers=bearer)).json()
        assert (page["totalSize"], page["done"], page["records"][0]) == (
            4,
            True,
            {"Id": "001000000000037", "Name": "Record 37 rev 1"},
        )
        assert (first["refresh_token"], shape.counters.refused) == ("refresh-1", 0)
        now[0] = 2.0
        assert (await http.get("/query", params=query, headers=bearer)).status_code == 401
        assert (await http.request(method, path, **more)).json() == {"error": "invalid_grant"}


async def test_a_change_is_seen_in_each_way_that_an_api_has():
    async with client("last_id") as (http, _):
        change = {"update": [3], "delete": [4], "add": 1}
        assert (await http.post("/_change", json=change)).status_code == 204
        events = (await http.get("/v1/events")).json()["data"]
        assert [each["type"] for each in events] == ["customer.created", "customer.deleted", "customer.updated"]
        listed = (await http.get("/v1/customers?limit=100")).json()["data"]
        assert [each["id"] for each in listed[:2]] == ["cus_41", "cus_40"]
        assert "cus_4" not in [each["id"] for each in listed]
        assert (await http.get("/v1/customers/cus_4")).json() == {"id": "cus_4", "deleted": True}
        assert (await http.get("/v1/customers/cus_3")).json()["name"] == "Record 3 rev 2"
    async with client("export") as (http, shape):
        shape.change(delete=[4], update=[3])
        path = "/incremental/tickets.json?start_time=0&per_page=38"
        first = (await http.get(path)).json()
        assert (first["count"], first["end_of_stream"]) == (38, False)
        last = (await http.get(first["next_page"])).json()
        assert [(each["id"], each["status"]) for each in last["tickets"]] == [
            (40, "open"),
            (3, "open"),
            (4, "deleted"),
        ]
        assert (last["end_of_stream"], last["end_time"]) == (True, last["tickets"][-1]["generated_timestamp"])


async def test_a_304_takes_no_place_in_the_primary_limit():
    async with client("link_header") as (http, _):
        first = await http.get("/issues/7")
        tag = {"If-None-Match": first.headers["ETag"]}
        assert (await http.get("/issues/7", headers=tag)).status_code == 304
        after = await http.get("/issues/8")
        assert [each.headers["X-RateLimit-Remaining"] for each in (first, after)] == ["4999", "4998"]


@pytest.mark.parametrize("options", [{"items": -1}, {"page": 0}, {"token_seconds": float("nan")}, {"limits": "many"}])
def test_an_invalid_option_is_refused(options):
    with pytest.raises(BadOption):
        ShapeOptions(**options)


@pytest.mark.parametrize("arguments", [["unknown"], ["graphql", "--limits", "1/1 second; 2/2 second"], ["plain", "x"]])
def test_a_bad_argument_is_one_sentence_and_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--port", "0", *arguments])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out, printed.err.count("\n")) == (2, "", 1)
    assert printed.err.startswith("source_api.shapes: ")
