"""`RestSource`: words become a source, and a mistake becomes a sentence with key, expectation and value."""

from datetime import timedelta
from decimal import Decimal

import httpx
import pytest
from sqlalchemy import Numeric

from import_pipeline import Column, OnePage, PageNumber, RestSource, Retry, buckets
from import_pipeline.contracts import check_source
from import_pipeline.contracts.paginators import Cursor
from import_pipeline.errors import ContractError
from import_pipeline.testing import CannedTransport, rehearse

LEAST = {"name": "orders", "list": "/orders", "pages": "one_page"}
ORDERS = {
    **LEAST,
    "base_url": "https://api.test/v2",
    "items": "data",
    "version": "updated_at",
    "total": "meta.count",
    "pages": PageNumber(last="meta.pages"),
    "detail": "/orders/{id}",
    "columns": {"email": "customer.email", "total": Column("amount", Numeric(12, 2)), "tags": Column("tags", "json")},
}


def answer(request):
    """Two pages of orders; each detail has an amount."""
    if request.url.path.endswith("/orders"):
        page = int(request.url.params["page"])
        data = [{"id": number, "updated_at": f"v{number}"} for number in (2 * page, 2 * page + 1)]
        return {"data": data, "meta": {"count": 4, "pages": 2}}
    number = request.url.path.rpartition("/")[2]
    return {"customer": {"email": f"{number}@x.test"}, "amount": f"{number}.50", "tags": ["a", int(number)]}


def test_a_declared_source_imports_like_a_class(tmp_path):
    source = RestSource(**ORDERS)
    assert check_source(source) is source
    transport = CannedTransport(answer)
    done = rehearse(source, transport, tmp_path)
    assert (done.summary.status, done.summary.items_imported_count, done.failures) == ("completed", 4, {})
    assert {key: (row["email"], row["total"], row["tags"]) for key, row in done.rows.items()} == {
        str(number): (f"{number}@x.test", Decimal(f"{number}.50"), ["a", number]) for number in (2, 3, 4, 5)
    }
    assert rehearse(source, transport, tmp_path).summary.items_unchanged_count == 4


def test_words_of_yaml_make_the_same_source():
    pages = {"type": "page_number", "last": "meta.pages"}
    columns = {"email": "customer.email", "total": {"path": "amount", "type": "numeric(12, 2)"}, "tags": "tags"}
    python, yaml = RestSource(**ORDERS), RestSource(**ORDERS | {"pages": pages, "columns": columns})
    assert python.pages == yaml.pages
    assert [str(one.type) for one in python.model.__table__.columns][:4] == [
        str(one.type) for one in yaml.model.__table__.columns
    ][:4]


def test_options_are_attributes_of_the_source():
    declared = {"tries": 2, "backoff": [1, 2.5], "max_pause": 60, "slots": 3, "owners": ["team:data"], "api": "shop"}
    source = check_source(RestSource(**LEAST, **declared, partitions=500, per_page=7, overlap=False))
    assert (source.retry, source.max_pause) == (Retry(tries=2, backoff=(1.0, 2.5)), timedelta(minutes=1))
    assert (source.slots, source.owners, source.api) == ("3", ("team:data",), "shop")
    assert (source.partitions, source.per_page, source.overlap) == (buckets(500), 7, False)
    plain = RestSource(**LEAST, partitions=buckets(9))
    assert (plain.partitions, plain.per_page, plain.api, plain.timeout) == (buckets(9), 100, "orders", 30.0)


@pytest.mark.parametrize("limits", ["5/1 second", {"/search": "5/1 second", "": "100/10 second"}])
def test_limits_hold_for_all_requests_or_for_paths(limits):
    assert check_source(RestSource(**ORDERS, limits=limits)).limits == limits


def test_requests_carry_parameters_headers_method_and_body():
    source = RestSource(
        **LEAST | {"list": {"path": "/search", "method": "POST", "body": {"query": "{ a }"}, "headers": {"X-List": 1}}},
        headers={"Accept": "application/json"},
        params={"lang": "de"},
        columns={"shop": "shop.id"},
        detail={
            "path": "/{shop}/{id}",
            "params": {"fields": ["a", "b"], "of": "{id}"},
            "body": {"n": "{id}", "x": [1]},
        },
    )
    listed = source.list_request()
    assert (listed.method, str(listed.url), listed.read()) == ("POST", "/search?lang=de", b'{"query":"{ a }"}')
    assert (listed.headers["x-list"], listed.headers["accept"]) == ("1", "application/json")
    row = source.stub({"id": "a/b", "shop": {"id": 7}})
    detail = row.detail_request()
    assert str(detail.url) == "/7/a%2Fb?lang=de&fields=a&fields=b&of=a%2Fb"
    assert detail.read() == b'{"n":"a/b","x":[1]}'


def test_a_placeholder_without_a_value_is_the_items_failure(tmp_path):
    source = RestSource(**LEAST, columns={"shop": "shop"}, detail="/{shop}/{id}")
    done = rehearse(source, CannedTransport({"/orders": [{"id": 1}]}), tmp_path)
    assert "expected a value of shop for /{shop}/{id}, got null" in done.failures["1"]


def test_without_columns_the_whole_item_is_kept(tmp_path):
    done = rehearse(RestSource(**LEAST), CannedTransport({"/orders": [{"id": 1, "a": {"b": 2}}]}), tmp_path)
    assert done.rows["1"]["data"] == {"id": 1, "a": {"b": 2}}


def test_bare_ids_and_lines_of_json_are_lists(tmp_path):
    detail = {"/orders/7": {"order": {"a": 1}}, "/orders/8": {"order": {"a": 2}}}
    source = RestSource(
        **LEAST, detail={"path": "/orders/{id}", "item": "order"}, columns={"a": Column("a", "integer")}
    )
    done = rehearse(source, CannedTransport({"/orders": [7, "8"], **detail}), tmp_path / "bare")
    assert {key: row["a"] for key, row in done.rows.items()} == {"7": 1, "8": 2}
    lines = httpx.Response(200, content='{"id": "x"}\n\r\n{"id": "y", "a": "1\u2028\u0085"}\n'.encode())
    ndjson = RestSource(**LEAST, format="ndjson", columns={})
    assert rehearse(ndjson, CannedTransport({"/orders": lines}), tmp_path / "lines").rows.keys() == {"x", "y"}


def test_what_only_the_list_has_stays_and_what_the_detail_lacks_becomes_null(tmp_path):
    columns = {"name": Column("name", from_list=True), "note": "note"}
    source = RestSource(**LEAST, detail="/orders/{id}", columns=columns)
    transport = CannedTransport({"/orders": [{"id": 1, "name": "lamp", "note": "old"}], "/orders/1": {"a": 1}})
    row = rehearse(source, transport, tmp_path).rows["1"]
    assert (row["name"], row["note"]) == ("lamp", None)


def test_columns_may_have_the_names_of_methods_and_of_sqlalchemy(tmp_path):
    names = ["metadata", "populate", "statuses", "registry", "query", "fields"]
    source = RestSource(**LEAST, columns={name: name for name in names})
    done = rehearse(source, CannedTransport({"/orders": [{"id": 1} | {name: name for name in names}]}), tmp_path)
    assert {name: done.rows["1"][name] for name in names} == {name: name for name in names}


@pytest.mark.parametrize("kind", ["integer", "uuid"])
def test_ids_have_a_type(kind, tmp_path):
    given = {"integer": 12, "uuid": "6f1c1c9e-53b4-4b43-b7b0-0a2c3a4b5c6d"}[kind]
    source = RestSource(**LEAST, id={"path": "key", "type": kind}, columns={})
    done = rehearse(source, CannedTransport({"/orders": [{"key": given}, {"key": "odd"}, {"key": True}, {}]}), tmp_path)
    assert list(done.rows) == [str(given)]
    assert sorted(reason.partition(", got ")[2].partition(" (")[0] for reason in done.failures.values()) == [
        "'odd'",
        "True",
        "nothing",
    ]


@pytest.mark.parametrize(
    ("body", "got"),
    [
        ({"orders": [], "next": 1}, "an object with orders, next"),
        ({}, "an empty object"),
        ([1], "a list"),
        ("x", "'x'"),
    ],
)
def test_a_page_without_the_list_fails_the_import_with_what_it_has(body, got, tmp_path):
    source = RestSource(**LEAST | {"items": "data", "tries": 1}, columns={})
    done = rehearse(source, CannedTransport(lambda _: httpx.Response(200, json=body)), tmp_path)
    assert f"expected a list at data in the answer, got {got}" in done.summary.failure_reason


def test_a_detail_that_is_no_object_fails_its_item(tmp_path):
    source = RestSource(**LEAST, detail={"path": "/orders/{id}", "item": "order"}, columns={})
    done = rehearse(source, CannedTransport({"/orders": [1], "/orders/1": {"error": "x"}}), tmp_path)
    assert "detail: expected a JSON object at order, got an object with error" in done.failures["1"]


def test_list_and_detail_have_costs_of_their_own():
    listing = {"path": "/orders", "cost": 5}
    source = RestSource(**LEAST | {"list": listing}, detail={"path": "/orders/{id}", "cost": 2}, columns={})
    sent = [httpx.Request("GET", f"https://api.test/v2{path}") for path in ("/orders", "/orders/7")]
    assert [source.cost(each) for each in sent] == [5, 2]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"lst": "/x"}, "orders.lst: unknown key lst; did you mean list?"),
        ({"list": None}, "orders.list: expected a path, or a mapping with path, method, params, headers, body,"),
        ({"list": {"paht": "/x"}}, "orders.list.paht: unknown key paht; did you mean path?"),
        ({"list": {"path": "/x", "method": "PATCH"}}, "orders.list.method: expected one of 'GET', 'POST', 'PUT' or"),
        (
            {"list": {"params": {}}},
            "orders.list.path: expected the path below the base URL, such as /orders, got",
        ),
        ({"pages": "pages"}, "orders.pages: expected one of page_number, offset, cursor, next_url, link_header,"),
        ({"pages": {"type": "cursor"}}, "orders.pages.next: expected a text, which cursor needs, got nothing"),
        (
            {"pages": {"type": "cursor", "nxt": "a"}},
            "orders.pages.nxt: unknown key nxt; did you mean next? cursor takes next",
        ),
        ({"pages": {"type": "page_number", "start": "0"}}, "orders.pages.start: expected a whole number, got '0'"),
        ({"pages": {"type": "offset", "where": "body"}}, "orders.pages.where: expected query or json, got 'body'"),
        (
            {"columns": ["a"]},
            "orders.columns: expected a mapping (columns of the table and the paths of",
        ),
        (
            {"columns": {"a": 5}},
            "orders.columns.a: expected a path, or a mapping with path, type, index, from",
        ),
        ({"columns": {"a": {"path": "a", "type": "decimal"}}}, "orders.columns.a.type: expected one of text, string,"),
        ({"columns": {"a": Column("a", "numeric(1,2,3)")}}, "orders.columns.a.type: expected one of text, string,"),
        ({"columns": {"a": Column("a", int)}}, "orders.columns.a.type: expected one of text, string, integer, numeri"),
        ({"columns": {"id": "id"}}, "orders.columns.id: expected another name: the API's id is stored as external_id"),
        ({"columns": {"a b": "x"}}, "orders.columns: expected a column name of at most 63 letters, digits and under"),
        ({"columns": {"a": "x", "A": "y"}}, "orders.columns.a: expected a name that differs from others not only by"),
        ({"columns": {"a": Column("a", from_list=True)}}, "orders.columns.a.from_list: expected from_list only beside"),
        ({"detail": "/orders"}, "orders.detail: expected a request that names the item, such as /orders/{id}, got '/o"),
        (
            {"detail": "/orders/{key}"},
            "orders.detail.path: expected placeholders {id} or {name of a column}, got ",
        ),
        ({"id": 5}, "orders.id: expected a path, or a mapping with path, type, got 5"),
        ({"id": {"path": "id", "type": "int"}}, "orders.id.type: expected one of 'text', 'integer' or 'uuid', got 'i"),
        (
            {"table": "a b"},
            "orders.table: expected a table name of letters, digits and underscores, or schema.name",
        ),
        ({"per_page": "many"}, "orders.per_page: expected a whole number (items requested per list page), got 'many'"),
        ({"partitions": "each"}, "orders.partitions: expected per_item, or a whole number from 1, got 'each'"),
        ({"partitions": 0}, "orders.partitions: expected per_item, or a whole number from 1, got 0"),
        ({"params": {"a": {}}}, "orders.params.a: expected a text, a number, true, false, or a list of these, got {}"),
        (
            {"overlap": "perhaps"},
            "orders.overlap: expected true or false (false: the whole list is read before the",
        ),
        ({"format": "xml"}, "orders.format: expected one of 'json' or 'ndjson', got 'xml'"),
        (
            {"name": 5},
            "RestSource.name: expected a text (the name of the source, its assets, jobs and set",
        ),
    ],
)
def test_a_mistake_is_a_sentence(wrong, sentence):
    with pytest.raises(ContractError) as caught:
        RestSource(**LEAST | wrong)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("key", ["name", "list", "pages"])
def test_words_that_no_source_can_lack_are_demanded(key):
    with pytest.raises(ContractError, match=rf"\.{key}: expected .*, got nothing$"):
        RestSource(**{name: value for name, value in LEAST.items() if name != key})


@pytest.mark.parametrize("key", ["headers", "list", "detail"])
def test_a_credential_is_refused_and_not_shown(key):
    headers = {"authorization": "Bearer planted-secret"}
    wrong = {"headers": headers} if key == "headers" else {key: {"path": "/orders/{id}", "headers": headers}}
    with pytest.raises(ContractError, match=r"expected a credential in `auth`, or .*, got a value that is not s") as it:
        RestSource(**LEAST | {"columns": {}} | wrong)
    assert "planted-secret" not in str(it.value)


def test_the_check_of_all_sources_counts_for_declared_ones():
    with pytest.raises(ContractError, match=r"orders\.limits: expected tiers"):
        check_source(RestSource(**LEAST, limits="fast"))
    with pytest.raises(ContractError, match=r"RestSource\.name: expected at most 100 of the letters"):
        check_source(RestSource(**LEAST | {"name": "my orders", "table": "orders"}))


def test_a_list_of_one_page_asks_once():
    assert OnePage().following(httpx.Request("GET", "/"), httpx.Response(200, json=[1]), [1], 100) is None


def test_paginators_take_their_words():
    cursor = {"type": "cursor", "next": "paging.next", "param": "variables.after", "where": "json", "size": None}
    assert RestSource(**LEAST | {"pages": cursor}).pages == Cursor(
        next="paging.next", param="variables.after", where="json"
    )
