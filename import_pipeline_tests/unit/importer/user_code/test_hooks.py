"""Errors and results of hooks: each error names the hook, the place and the reason."""

import asyncio
import csv
import sys
import xml.etree.ElementTree as ET
from fractions import Fraction

import httpx
import pytest
from sqlalchemy.exc import IntegrityError

from import_pipeline.errors import HookFailed, ItemRetryable
from import_pipeline.importer.user_code.hooks import (
    ANYTHING,
    CONNECTOR,
    COST,
    FLAG,
    ITEMS,
    MOST_ITEMS,
    POSITION,
    REQUEST,
    REQUEST_OR_NONE,
    TOTAL,
    VERSION,
    call_hook,
)


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("never")


class Panic(BaseException):
    """The error that extensions written in Rust raise."""


class Grave(Exception):
    def __str__(self):
        return "g" * 10_000_000


RAISED = [
    ValueError("no"),
    KeyError("id"),
    AssertionError(),
    NotImplementedError("later"),
    RuntimeError("boom\nand more"),
    OSError(28, "No space left on device"),
    MemoryError(),
    RecursionError("too deep"),
    StopIteration("over"),
    StopAsyncIteration(),
    GeneratorExit(),
    SystemExit(3),
    asyncio.CancelledError(),
    TimeoutError(),
    csv.Error("line contains NUL"),
    ET.ParseError("no element found"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    IntegrityError("INSERT", {}, Exception("duplicate")),
    httpx.InvalidURL("no address"),
    httpx.ReadTimeout("a request of its own"),
    ExceptionGroup("several", [ValueError("one")]),
    BaseExceptionGroup("several", [Panic("one")]),
    Unspeakable(),
    Panic("in Rust"),
    Grave(),
]


class Hooks:
    """A user's class: `hook` does what the test sets."""

    def __init__(self, does):
        self.does = does

    def hook(self):
        return self.does()


def raising(error):
    def fail():
        raise error

    return fail


def failure(does, returns=ANYTHING, **options):
    with pytest.raises(HookFailed) as caught:
        call_hook(Hooks(does), "hook", returns=returns, **options)
    return caught.value


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_an_error_is_reported_with_hook_class_file_and_line(error):
    found = failure(raising(error))
    line = raising.__code__.co_firstlineno + 2
    assert (found.hook, found.place) == ("Hooks.hook", f"{__file__}, line {line}")
    assert str(found).startswith(f"Hooks.hook raises {type(error).__name__}")
    assert str(found).endswith(f"({__file__}, line {line})")
    assert "\n" not in str(found)
    assert len(str(found)) < 1_500


def test_ctrl_c_is_no_failure_of_the_hook():
    with pytest.raises(KeyboardInterrupt):
        call_hook(Hooks(raising(KeyboardInterrupt())), "hook", returns=ANYTHING)


def test_what_the_hook_may_raise_on_purpose_passes():
    with pytest.raises(ItemRetryable):
        call_hook(Hooks(raising(ItemRetryable("later"))), "hook", returns=ANYTHING, passes=(ItemRetryable,))


def test_a_generator_that_breaks_off_halfway_fails_with_its_line():
    def some():
        yield 1
        raise LookupError("halfway")

    found = failure(some, ITEMS)
    assert str(found) == f"Hooks.hook raises LookupError: halfway ({__file__}, line {some.__code__.co_firstlineno + 2})"


def test_a_recursion_without_end_is_a_failure_like_others():
    def again():
        return again()

    assert "RecursionError" in str(failure(again))


def test_the_line_is_the_users_and_not_that_of_a_library_it_called():
    def parse():
        return ET.fromstring("<a>")

    line = parse.__code__.co_firstlineno + 1
    assert failure(parse).place == f"{__file__}, line {line}"


def test_a_hook_that_is_missing_or_takes_other_arguments_names_itself():
    with pytest.raises(HookFailed, match=r"Hooks\.absent raises AttributeError"):
        call_hook(Hooks(None), "absent", returns=ANYTHING)
    with pytest.raises(HookFailed, match=r"Hooks\.hook raises TypeError: .* takes 1 positional argument"):
        call_hook(Hooks(None), "hook", 1, returns=ANYTHING)


async def waits():
    return True


async def yields():
    yield 1


def forever():
    while True:
        yield 1


class Vague:
    def __bool__(self):
        raise ValueError("ambiguous")

    def __repr__(self):
        raise RuntimeError("no")


WRONG = [
    (returns, value)
    for returns, values in {
        REQUEST: [None, "/path", 1, object(), (1, 2), httpx.Response(200)],
        REQUEST_OR_NONE: ["", 0, False, [], httpx.URL("/")],
        ITEMS: [None, "text", b"bytes", {"a": 1}, 7, float("nan"), True],
        TOTAL: ["12", -1, 1.5, float("nan"), float("inf"), True, 2**64, Fraction(3), [1]],
        COST: [None, 0, -3, True, 1.0, float("nan"), "1", 10**500],
        CONNECTOR: [None, {}, "https://api.test", 3],
        VERSION: [len, forever()],
        FLAG: [len, forever(), "false", " No ", "0"],
        POSITION: [True, ["a"], {"a": 1}, b"a", "", "a" * 256],
    }.items()
    for value in values
]


@pytest.mark.parametrize(("returns", "value"), WRONG, ids=lambda each: getattr(each, "expected", type(each).__name__))
def test_a_wrong_return_value_is_reported_with_the_expected_one(returns, value):
    sentence = str(failure(lambda: value, returns))
    assert sentence.startswith(f"Hooks.hook must return {returns.expected}, got ")
    assert f"({__file__}, line " in sentence


@pytest.mark.parametrize(
    "returns", [REQUEST, REQUEST_OR_NONE, ITEMS, TOTAL, COST, VERSION, FLAG, ANYTHING], ids=lambda each: each.expected
)
@pytest.mark.parametrize("function", [waits, yields])
def test_what_would_have_to_be_awaited_is_no_result(returns, function):
    assert "must return" in str(failure(function, returns))


def test_a_value_that_cannot_be_inspected_is_reported():
    assert str(failure(Vague, FLAG)).startswith("Hooks.hook raises ValueError: ambiguous")
    assert "must return an httpx.Request, got " in str(failure(Vague, REQUEST))
    assert "got " in str(failure(lambda: 10 ** (sys.get_int_max_str_digits() + 10), TOTAL))


def test_a_page_without_an_end_is_none():
    assert f"at most {MOST_ITEMS:,} items" in str(failure(forever, ITEMS))


# Ids must not hold an object's address: the processes of a run collect the tests one by one.
GOOD = [
    (ITEMS, (), []),
    (ITEMS, (1, None), [1, None]),
    (TOTAL, None, None),
    (TOTAL, 0, 0),
    (COST, 7, 7),
    (VERSION, None, None),
    (VERSION, 20, "20"),
    (FLAG, None, False),
    (FLAG, "next", True),
    (REQUEST_OR_NONE, None, None),
]


@pytest.mark.parametrize(
    ("returns", "value", "read"), GOOD, ids=lambda each: getattr(each, "expected", type(each).__name__)
)
def test_what_it_may_return_is_read(returns, value, read):
    assert call_hook(Hooks(lambda: value), "hook", returns=returns) == read


def test_what_an_error_quotes_of_an_answer_is_masked():
    secret = "a-secret-of-the-answer-99"
    request = httpx.Request("GET", "https://api.test/", headers={"X-Auth-Token": "mine-and-only-mine"})
    response = httpx.Response(200, json={"session_token": secret}, request=request)
    found = failure(raising(ValueError(f"odd: {secret}")), response=response)
    assert str(found).startswith("Hooks.hook raises ValueError: odd: *** (")
