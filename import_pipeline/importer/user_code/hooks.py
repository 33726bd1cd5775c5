"""Call a user's hooks. An exception or a wrong return value becomes a HookFailed with file and line.

The caller decides what fails by it: an item, a request or the import.
"""

import inspect
import math
import reprlib
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Generic, TypeVar

import httpx

from import_pipeline.contracts import Connector
from import_pipeline.contracts.hooks import label_of
from import_pipeline.declarative.unfit import PathMissing, Unfit
from import_pipeline.errors import HookFailed
from import_pipeline.importer.excerpts import MOST_REPORTED, body_hints, excerpt, keys_there, register_response_secrets
from import_pipeline.importer.user_code.awaitables import is_awaitable
from import_pipeline.importer.user_code.running_hooks import RUNNING_HOOKS, HookInterrupted
from import_pipeline.rules.lists.positions import LONGEST_POSITION, Position, parse_position
from import_pipeline.rules.responses.actions import ActionKind, ResponseAction
from import_pipeline.wording import visible

T = TypeVar("T")

#: A page with more items than this is an endless generator.
MOST_ITEMS = 1_000_000
#: The largest whole number that all databases and rate-limit stores can hold.
LARGEST = 2**53
#: Texts by which some APIs say no.
_FALSE_TEXTS = frozenset({"false", "no", "0", "off", "null", "none"})
#: Modules of this package that call hooks or provide their defaults; errors are not reported at their lines.
_OURS = tuple(f"import_pipeline.{each}." for each in ("contracts", "declarative", "importer", "ratelimit"))

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 80


class _WrongValue(Exception):
    """The value is not one that the hook may return."""


@dataclass(frozen=True)
class Returns(Generic[T]):
    """The type of a hook's return value: in words, and a function that reads a value or raises _WrongValue."""

    expected: str
    read: Callable[[Any], T]


def call_hook(
    owner: object,
    name: str,
    *arguments: Any,
    returns: Returns[T],
    response: httpx.Response | None = None,
    passes: tuple[type[Exception], ...] = (),
) -> T:
    """Call a hook and return its value, as `returns` reads it. `response` is one that its errors may quote.

    Raises HookFailed, and the errors that the hook may raise on purpose (`passes`).
    """
    return _guarded(owner, name, returns, arguments, response, passes)


def hook_batches(
    owner: object,
    name: str,
    *arguments: Any,
    is_good: Callable[[Any], bool],
    expected: str,
    size: int,
    seconds: float = math.inf,
    monotonic: Callable[[], float] = lambda: 0.0,
) -> Iterator[list[Any]]:
    """Yield the values of a hook that returns an iterable, up to `size` at a time; fewer if they take `seconds`.

    Raises HookFailed, also for a value that is not good.
    """
    iterator: Iterator[Any] = _guarded(owner, name, Returns(f"an iterable of {expected}", _iterator), arguments)

    def some() -> list[Any]:
        began, values = monotonic(), []
        for value in islice(iterator, size):
            values.append(value)
            if monotonic() - began >= seconds:
                break
        return values

    while batch := _guarded(owner, name, ANYTHING, call=some):
        for value in batch:
            if not is_good(value):
                problem = f"must yield {expected}, got {_shown(value)}"
                raise HookFailed(label_of(owner, name), problem, _definition(owner, name))
        yield batch


def _guarded(
    owner: object,
    name: str,
    returns: Returns[T],
    arguments: Sequence[Any] = (),
    response: httpx.Response | None = None,
    passes: tuple[type[Exception], ...] = (),
    call: Callable[[], Any] | None = None,
) -> T:
    """Call the hook, or in its place a function that continues it; without layers, since hooks are called often."""
    value, cause, label, lacks_path = None, None, "", False
    try:
        with RUNNING_HOOKS:
            value = getattr(owner, name)(*arguments) if call is None else call()
            if is_awaitable(value):
                raise _WrongValue
            return returns.read(value)
    except _WrongValue:
        problem, place = f"must return {returns.expected}, got {_shown(value)}", _definition(owner, name)
    except Unfit as error:  # of a declared source
        register_response_secrets(response)
        source, _, key = label_of(owner, name).partition(".")
        label, lacks_path = f"{source}.{error.key or key}:", isinstance(error, PathMissing)
        problem, place = excerpt(visible(str(error)), MOST_REPORTED), getattr(owner, "declared_in", None)
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, HookInterrupted, *passes)):
            raise
        register_response_secrets(response)
        problem, place = (
            f"raises {describe_error(error)}{keys_there(error, arguments)}",
            place_of(error, owner) or _definition(owner, name),
        )
        cause = error
    if response is not None:
        problem += body_hints(response)
    raise HookFailed(label or label_of(owner, name), problem, place, lacks_path=lacks_path) from cause


def describe_error(error: BaseException) -> str:
    """Return an error's class and the beginning of its text, on one line and without secrets."""
    try:
        text = str(error)[: 10 * MOST_REPORTED]
    except Exception:  # noqa: BLE001 - __str__ may be the user's code
        text = "its text cannot be read"
    text = excerpt(visible(text.strip()), MOST_REPORTED)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def place_of(error: BaseException, owner: object) -> str | None:
    """Return the deepest line of the owner's own code in the traceback, not of this package or of a library."""
    frames = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not _module(frame.f_globals).startswith(_OURS)
    ]
    if not frames:
        return None
    packages = {_package(type(owner).__module__)}
    if not _is_default(error.__traceback__):
        packages.add(_package(_module(frames[0][0].f_globals)))
    theirs = [each for each in frames if _package(_module(each[0].f_globals)) in packages]
    return f"{theirs[-1][0].f_code.co_filename}, line {theirs[-1][1]}" if theirs else None


def _is_default(trace: TracebackType | None) -> bool:
    """Return True if the hook is inherited from this package, so that its callees are not the user's code."""
    called = trace.tb_next if trace is not None else None
    return called is not None and _module(called.tb_frame.f_globals).startswith(_OURS)


def _definition(owner: object, name: str) -> str | None:
    """Return the line that defines the hook; None if it is inherited from this package, or no Python function."""
    function = inspect.unwrap(getattr(type(owner), name, None) or (lambda: None))
    code = getattr(function, "__code__", None)
    if code is None or _module(getattr(function, "__globals__", {})).startswith(_OURS):
        return None
    return f"{code.co_filename}, line {code.co_firstlineno}"


def _module(names: Mapping[str, Any]) -> str:
    return f"{names.get('__name__')}."


def _package(module: str) -> str:
    return module.partition(".")[0]


def _shown(value: object) -> str:
    try:
        return excerpt(_REPR.repr(value), MOST_REPORTED)
    except Exception:  # noqa: BLE001 - __repr__ may be the user's code
        return f"a {type(value).__name__}"


def instance(kind: type[T], expected: str) -> Returns[T]:
    """Return the type of a hook that returns an instance of a class."""

    def read(value: Any) -> T:
        if not isinstance(value, kind):
            raise _WrongValue
        return value

    return Returns(expected, read)


def _or_none(read: Callable[[Any], T]) -> Callable[[Any], T | None]:
    return lambda value: None if value is None else read(value)


def _flag(value: Any) -> bool:
    is_no = isinstance(value, str) and value.strip().lower() in _FALSE_TEXTS
    if is_no or callable(value) or inspect.isgenerator(value):  # each would be true
        raise _WrongValue
    return bool(value)


def _iterator(value: Any) -> Iterator[Any]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise _WrongValue
    return iter(value)


def _items(value: Any) -> list[Any]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise _WrongValue
    found = list(islice(value, MOST_ITEMS + 1))
    if len(found) > MOST_ITEMS:
        raise _WrongValue
    return found


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    found = _items(list(value.items()) if isinstance(value, Mapping) else value)
    if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in found):
        raise _WrongValue
    return [(pair[0], pair[1]) for pair in found]


def _whole(least: int, most: int = LARGEST) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise _WrongValue
        return value

    return read


def _text(value: Any) -> str:
    if callable(value) or inspect.isgenerator(value):
        raise _WrongValue
    return str(value)


def _position(value: Any) -> Position:
    if isinstance(value, bool | bytes | list | tuple | set | Mapping):  # its text would be compared by characters
        raise _WrongValue
    text = _text(value)
    if not 0 < len(text) <= LONGEST_POSITION:
        raise _WrongValue
    return parse_position(text)


def _connector(value: Any) -> Connector:
    is_one = isinstance(value, Connector) and isinstance(value.base_url, str) and isinstance(value.headers, Mapping)
    if not is_one or not all(isinstance(part, str) for pair in value.headers.items() for part in pair):
        raise _WrongValue
    seconds = 1.0 if value.timeout is None else value.timeout
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise _WrongValue
    return value  # type: ignore[no-any-return]


def _action(value: Any) -> ResponseAction:
    if not isinstance(value, ResponseAction) or value.kind is ActionKind.DENY:
        raise _WrongValue
    return value


REQUEST = instance(httpx.Request, "an httpx.Request")
REQUEST_OR_NONE = Returns("an httpx.Request, or None", _or_none(REQUEST.read))
ITEMS = Returns(f"a list or another iterable of at most {MOST_ITEMS:,} items", _items)
DETAILS = Returns("pairs of external id and detail", _pairs)
FLAG = Returns("True or False", _flag)
ACTION_OR_NONE = Returns("an action such as ACCEPT, SKIP or RETRY(after=30), or None", _or_none(_action))
TOTAL = Returns("a whole number from 0, or None", _or_none(_whole(0)))
COST = Returns("a whole number from 1", _whole(1))
TEXT = Returns("a text", _text)
VERSION = Returns("a text, or None", _or_none(_text))
POSITION = Returns(f"a text of 1 to {LONGEST_POSITION} characters, or None", _or_none(_position))
CONNECTOR = Returns("a Connector with an address, headers of texts and a timeout in seconds above 0", _connector)
ANYTHING: Returns[Any] = Returns("a value that need not be awaited", lambda value: value)
