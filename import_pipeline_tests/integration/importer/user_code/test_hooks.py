"""Every hook with every kind of exception and return: an import that ends, with a reason that names the hook."""

import asyncio
import csv
import re

import pytest
from sqlalchemy.exc import InvalidRequestError

from import_pipeline import run_import
from import_pipeline.errors import UsageError
from import_pipeline.ratelimit.http.response import Answer
from import_pipeline.testing import CannedTransport
from import_pipeline_tests.support import scripted_source
from import_pipeline_tests.support.changing_list import URL, ChangingList, detail, import_list
from import_pipeline_tests.support.imports import (
    counts,
    import_through,
    reasons,
    settings,
    without_place,
)
from import_pipeline_tests.support.scripted_source import SCRIPT, Item, Linked, Scripted


class Panic(BaseException):
    """As extensions written in Rust raise it."""


KINDS = [
    ValueError("no"),
    AssertionError(),
    RuntimeError("boom"),
    csv.Error("odd"),
    InvalidRequestError("a session"),
    MemoryError(),
    RecursionError("deep"),
    SystemExit(2),
    asyncio.CancelledError(),
    GeneratorExit(),
    Panic("in Rust"),
]
QUICK = {"ITEMS_TRIES": "2", "ITEMS_BACKOFF": "0.01", "ITEMS_CONCURRENCY": "2", "ITEMS_CEILING": "2"}


async def waits():
    return None


def without_end():
    while True:
        yield {"id": 1, "name": "n"}


@pytest.fixture(autouse=True)
def _empty_script():
    SCRIPT.clear()
    yield
    SCRIPT.clear()


def raising(error):
    def play(usual):
        raise error

    return play


def returning(value):
    return lambda usual: value() if callable(value) else value


def imported(home, hook, play, **attributes):
    """An import of four items in two pages, in which that hook plays its own."""
    SCRIPT.clear()
    SCRIPT[hook] = play
    kind = Linked if hook == "next_request" else Scripted
    source = type(kind.__name__, (kind,), {"per_page": 2, **attributes})()
    return import_list(ChangingList(range(1, 5), size=2), home, source, **QUICK)


def reasons_of_each(home, hook, plays):
    """Import one item for each of these functions, which that hook plays for it; return the reasons in their order."""
    SCRIPT[hook] = {str(number): play for number, play in enumerate(plays, 1)}
    source = type("Scripted", (Scripted,), {"per_page": 2})()
    summary, configured = import_list(ChangingList(range(1, len(plays) + 1), size=2), home, source, **QUICK)
    assert counts(summary) == ("completed", len(plays), 0, 0, len(plays))
    found = reasons(configured)
    numbers = range(1, len(plays) + 1)
    # Without a stub there is no id, only a place.
    return [found[f"(page {-(-each // 2)}, item {2 - each % 2})" if hook == "stub" else str(each)] for each in numbers]


def assert_failed(summary, hook, said):
    assert summary.status == "failed"
    assert f"{hook} {said}" in without_place(summary.failure_reason)
    assert re.search(r"\(/\S+\.py, line \d+\)", summary.failure_reason)


OF_THE_IMPORT = {
    "connector": "Scripted.connector",
    "list_request": "Scripted.list_request",
    "items": "Scripted.items",
    "has_next_page": "Scripted.has_next_page",
    "next_request": "Linked.next_request",
    "total": "Scripted.total",
    "cost of the list": "Scripted.cost",
    "is_rate_limited": "Scripted.is_rate_limited",
}
OF_AN_ITEM = {
    "stub": "Scripted.stub",
    "version": "Scripted.version",
    "detail": "Scripted.detail",
    "populate": "Item.populate",
    "detail_request": "Item.detail_request",
    "cost of a detail": "Scripted.cost",
}


@pytest.mark.parametrize("hook", OF_THE_IMPORT)
def test_whatever_a_hook_of_the_list_raises_fails_the_import_by_its_name(home, hook):
    for error in KINDS:
        summary, _ = imported(home, hook, raising(error))
        assert_failed(summary, OF_THE_IMPORT[hook], f"raises {type(error).__name__}")


@pytest.mark.parametrize("hook", OF_AN_ITEM)
def test_whatever_a_hook_of_an_item_raises_fails_that_item_by_its_name(home, hook):
    found = reasons_of_each(home, hook, [raising(error) for error in KINDS])
    for error, reason in zip(KINDS, found, strict=True):
        assert without_place(reason).startswith(f"{OF_AN_ITEM[hook]} raises {type(error).__name__}")
        assert scripted_source.__file__ in reason or __file__ in reason


def test_a_missing_key_is_named_beside_the_keys_that_are_there(home):
    _, configured = imported(home, "populate", lambda usual: {}["priority"])
    given = {without_place(reason) for reason in reasons(configured).values()}
    assert given == {"Item.populate raises KeyError: 'priority'; it has id, name, price"}


NO_NUMBERS = ["1", 1.0, float("nan"), True, -1, 10**40, object, waits]
RETURNS = {
    "connector": [None, "https://api.test", waits],
    "list_request": [None, "/items", object, waits],
    "items": [None, "text", 7, {"data": []}, waits, without_end],
    "has_next_page": [waits, without_end],
    "next_request": ["/next", False, waits],
    "total": NO_NUMBERS,
    "cost of the list": [None, 0, *NO_NUMBERS],
    "is_rate_limited": [waits, without_end],
    "stub": [None, {"id": 1}, waits],
    "version": [waits, without_end],
    "detail": [waits],
    "populate": [waits],
    "detail_request": ["/items/1", 0, waits],
    "cost of a detail": [None, 0, *NO_NUMBERS],
}


@pytest.mark.parametrize("hook", OF_THE_IMPORT)
def test_whatever_a_hook_of_the_list_returns_wrongly_fails_the_import_by_its_name(home, hook):
    for value in RETURNS[hook]:
        summary, _ = imported(home, hook, returning(value))
        assert_failed(summary, OF_THE_IMPORT[hook], "must return")


@pytest.mark.parametrize("hook", OF_AN_ITEM)
def test_whatever_a_hook_of_an_item_returns_wrongly_fails_that_item_by_its_name(home, hook):
    for reason in reasons_of_each(home, hook, [returning(value) for value in RETURNS[hook]]):
        assert without_place(reason).startswith(f"{OF_AN_ITEM[hook]} must return")


def test_one_item_among_others_is_not_the_import(home):
    for hook in OF_AN_ITEM:
        calls = []

        def second(usual, calls=calls):
            calls.append(usual)
            if len(calls) == 2:
                raise Panic("now")
            return usual()

        summary, _ = imported(home, hook, second)
        assert (summary.status, summary.items_failed_count) == ("completed", 1), hook


def test_a_list_that_breaks_off_halfway_is_tried_again_and_then_fails_the_import(home):
    def halfway(usual):
        yield from list(usual())[:1]
        raise LookupError("halfway")

    summary, _ = imported(home, "items", halfway)
    assert without_place(summary.failure_reason) == "list page 1: Scripted.items raises LookupError: halfway, 2 times"


@pytest.mark.parametrize("hook", ["cost of the list", "cost of a detail"])
def test_a_cost_that_exceeds_every_window_is_refused_with_a_reason(home, hook):
    SCRIPT[hook] = returning(50)
    source = type("Scripted", (Scripted,), {"per_page": 2})()
    summary, configured = import_list(
        ChangingList(range(1, 5), size=2), home, source, **QUICK, ITEMS_LIMITS="20/1 second"
    )
    said = [summary.failure_reason] if hook == "cost of the list" else list(reasons(configured).values())
    assert all("costs 50" in reason for reason in said)
    assert len(said) == (1 if hook == "cost of the list" else 4)
    assert summary.status == ("failed" if hook == "cost of the list" else "completed")


def test_whatever_an_auth_raises_fails_its_request_and_at_last_the_import(home):
    for error in KINDS:
        summary, _ = imported(home, "auth_flow", raising(error), auth=True)
        assert summary.status == "failed"
        reason = without_place(summary.failure_reason)
        assert reason.startswith("list page 1: Auth.auth_flow raises ")
        assert reason.endswith(", 2 times")


def test_an_auth_that_never_has_enough_fails_its_request(home):
    summary, _ = imported(home, "auth_flow", lambda usual: True, auth=True)
    reason = "list page 1: Auth.auth_flow needs more than 10 requests to send one, 2 times"
    assert (summary.status, summary.failure_reason) == ("failed", reason)
    assert summary.requests_count == 20


class Demanding(Item):
    """Cannot be made without a name, and has a length."""

    def __init__(self, *, external_id, name):
        super().__init__(external_id=external_id, name=name)

    def __len__(self):
        return 0


def test_a_model_whose_constructor_wants_arguments_is_imported_by_id_too(home):
    source = type("Scripted", (Scripted,), {"model": Demanding, "stub": lambda self, item: Demanding(**item)})()

    def answer(request):
        if request.url.path != "/api/items":
            return detail(request.url.path.rpartition("/")[2])
        return {"data": [{"external_id": "1", "name": "n"}], "current_page": 1, "last_page": 1, "total": 1}

    summary, configured = import_list(answer, home, source, **QUICK)
    assert counts(summary) == ("completed", 1, 1, 0, 0)
    chosen = import_through(CannedTransport(answer), source, configured, only=["1", "2"])
    assert counts(chosen) == ("completed", 2, 2, 0, 0)


def test_an_auth_that_fails_now_and_then_loses_nothing(home):
    calls = []

    def play(usual):
        calls.append(usual)
        if len(calls) % 3 == 0:
            raise RuntimeError("the token's server is busy")

    summary, _ = imported(home, "auth_flow", play, auth=True)
    assert counts(summary) == ("completed", 4, 4, 0, 0)


@pytest.mark.parametrize("error", KINDS, ids=lambda error: type(error).__name__)
def test_whatever_notify_raises_changes_no_ending(home, error):
    SCRIPT["list_request"] = raising(ValueError("no list"))
    SCRIPT["notify"] = raising(error)
    summary, _ = import_list(ChangingList(range(1, 5)), home, Scripted(), **QUICK)
    assert_failed(summary, "Scripted.list_request", "raises ValueError: no list")


def test_is_rate_limited_leaves_an_answer_that_it_cannot_read_to_its_status(home):
    def reads(status, body):
        answered = []

        def answer(request):
            if request.url.path.endswith("/2") and not answered:
                answered.append(request)
                return Answer(status, text=body)
            return shelf(request)

        return answer

    def play(response):
        return response.json().get("error") == "throttled"

    for status, outcome in ((500, 4), (400, 3)):
        shelf = ChangingList(range(1, 5))
        SCRIPT["is_rate_limited"] = play
        summary, _ = import_list(reads(status, "<html>oops</html>"), home, Scripted(), **QUICK)
        assert (summary.status, summary.items_imported_count) == ("completed", outcome)


def test_run_import_inside_a_running_event_loop_is_refused_before_a_row_is_made(home):
    async def program():
        run_import("items", settings=settings(home, URL))

    with pytest.raises(UsageError, match=r"await asyncio\.to_thread\(run_import, "):
        asyncio.run(program())
    assert not home.exists()
