"""Detect awaitables among the values of hooks: no hook is awaited, and as a flag one would always be true."""

import inspect
from collections.abc import Awaitable
from functools import lru_cache
from types import AsyncGeneratorType, GeneratorType
from typing import Any


def is_awaitable(value: object) -> bool:
    """Return True if the value is an awaitable or an asynchronous generator; a coroutine is closed."""
    kind: Any = type(value)
    if not _may_be_awaited(kind):
        return False
    if inspect.iscoroutine(value):
        value.close()  # prevents a warning that it was never awaited
    return inspect.isawaitable(value) or inspect.isasyncgen(value)


@lru_cache(maxsize=1000)
def _may_be_awaited(kind: Any) -> bool:
    """Return False for a type whose values need no further look, such as that of a row or of a detail."""
    return issubclass(kind, Awaitable | GeneratorType | AsyncGeneratorType)
