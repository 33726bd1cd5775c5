"""Reasons of imports and items name the key of the declaration, not the hook of a class that reads it."""

import httpx
import pytest

from import_pipeline import RestSource
from import_pipeline.errors import HookFailed
from import_pipeline.importer.user_code.hooks import ANYTHING, call_hook
from import_pipeline.testing import CannedTransport, rehearse

LEAST = {"name": "orders", "list": "/orders", "pages": "one_page", "columns": {"a": "a"}}
DETAIL = LEAST | {"detail": "/orders/{id}"}
BATCH = LEAST | {"batch": {"path": "/b", "params": {"ids": "{ids}"}, "size": 2, "items": "found", "item": "v"}}
XML = "<?xml version='1.0'?><orders/>"
HTML = "<html><body>Login</body></html>"
INTEGER = {"columns": {"a": {"path": "a", "type": "integer"}}}


def reason(owner, hook, argument):
    """Return the reason with which the hook fails; a text is the body of an answer."""
    if isinstance(argument, str):
        argument = httpx.Response(200, text=argument, request=httpx.Request("GET", "https://api.test/orders"))
    response = argument if isinstance(argument, httpx.Response) else None
    with pytest.raises(HookFailed) as caught:
        call_hook(owner, hook, argument, returns=ANYTHING, response=response)
    return str(caught.value)


@pytest.mark.parametrize(
    ("words", "hook", "given", "expected"),
    [
        (
            LEAST,
            "items",
            XML,
            "orders.items: expected JSON in the answer; XML needs a source that is written as a class",
        ),
        (LEAST, "items", HTML, "orders.items: expected JSON in the answer, got '<html>"),
        (LEAST, "items", "", "orders.items: expected JSON in the answer, got an empty body"),
        (
            LEAST,
            "items",
            '{"id": 1}\n{"id": 2}',
            "orders.items: expected JSON in the answer; for a JSON value in each li",
        ),
        (LEAST, "items", "a,b\n1,2", "orders.items: expected JSON in the answer, got 'a,b"),
        (
            LEAST | {"items": "data"},
            "items",
            '{"orders": []}',
            "orders.items: expected a list at data in the answer, got",
        ),
        (
            LEAST | {"format": "ndjson"},
            "items",
            '{"id": 1}\n{"id"',
            "orders.items: expected JSON in each line, since the",
        ),
        (LEAST, "stub", {}, "orders.id: expected a text or a whole number at id, got nothing"),
        (LEAST | INTEGER, "stub", {"id": 1, "a": "x"}, "orders.columns.a: expected a whole number at a, got 'x'"),
        (DETAIL, "detail", "[1]", "orders.detail: expected a JSON object, got a list"),
        (DETAIL, "detail", XML, "orders.detail: expected JSON in the answer; XML needs a source"),
        (
            BATCH,
            "details",
            '{"x": 1}',
            "orders.batch.items: expected a list at found in the answer, got an object with x",
        ),
        (
            BATCH,
            "details",
            '{"found": [{"k": 1}]}',
            "orders.batch.id: expected an id at id in each detail, got an object",
        ),
    ],
)
def test_what_does_not_fit_names_the_key(words, hook, given, expected):
    assert reason(RestSource(**words), hook, given).startswith(expected)


def test_rows_name_the_key_too():
    row = RestSource(**DETAIL | {"detail": "/{a}/{id}"}).stub({"id": 1})
    with pytest.raises(HookFailed, match=r"^orders\.detail: expected a value of a for /\{a\}/\{id\}, got null$"):
        call_hook(row, "detail_request", returns=ANYTHING)
    expected = "orders.batch.item: expected a JSON object for each item, got a list"
    assert reason(RestSource(**BATCH).stub({"id": 1}), "populate", [1]) == expected


def test_the_file_of_a_declaration_is_named():
    source = RestSource(**LEAST | {"items": "data"})
    source.declared_in = "shop.yaml"
    said = reason(source, "items", '{"orders": []}')
    assert said.endswith("got an object with orders (did you mean orders?) (shop.yaml)")


def test_reasons_of_an_import_name_keys(tmp_path):
    actions = {401: "stop", 403: "fail"}
    words = {"tries": 1, "answers": [{"status": status, "action": action} for status, action in actions.items()]}
    lists = {"/orders": [{"id": ""}, {"id": 1}], "/orders/1": httpx.Response(403)}
    done = rehearse(RestSource(**DETAIL | words), CannedTransport(lists), tmp_path / "items")
    assert set(done.failures.values()) == {
        "orders.id must return an external_id of 1 to 255 characters, got ''",
        "the API answers 403 Forbidden: `orders.answers` rejects it",
    }
    stopped = CannedTransport({**lists, "/orders/1": httpx.Response(401)})
    done = rehearse(RestSource(**DETAIL | words), stopped, tmp_path / "stop")
    assert done.summary.failure_reason == "the API answers 401 Unauthorized: `orders.answers` stops the import"
    done = rehearse(RestSource(**LEAST), CannedTransport({"/orders": httpx.Response(404)}), tmp_path / "list")
    assert done.summary.failure_reason.endswith("404 Not Found: check ORDERS_BASE_URL and orders.list")


def test_details_that_are_all_gone_name_their_address(tmp_path):
    def answer(request):
        is_list = request.url.path == "/orders"
        return httpx.Response(200, json=[{"id": n} for n in range(20)]) if is_list else httpx.Response(404)

    reason = rehearse(RestSource(**DETAIL), CannedTransport(answer), tmp_path).summary.failure_reason
    assert "check orders.detail. None of them is marked as gone" in reason
    assert reason.endswith("add {status: 404, action: gone} to orders.answers")


@pytest.mark.parametrize(
    ("words", "hook", "given", "question"),
    [
        (LEAST | {"id": "key"}, "stub", {"keys": 1}, "got nothing (did you mean keys?)"),
        (LEAST | {"id": "a.key"}, "stub", {"a": {"keys": 1}}, "got nothing (did you mean a.keys?)"),
        (DETAIL | {"detail": {"path": "/{id}", "item": "order"}}, "detail", '{"orders": {}}', "(did you mean orders?)"),
        (BATCH, "details", '{"data": [{"id": 1}]}', "(did you mean data?)"),
        (BATCH, "details", '{"found": [{"ids": 1}]}', "(did you mean ids?)"),
    ],
)
def test_a_path_that_an_answer_lacks_has_the_near_word(words, hook, given, question):
    assert question in reason(RestSource(**words), hook, given)
