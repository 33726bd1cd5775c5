"""Fingerprints of hooks: a stored value is worth nothing once the code that made it has changed."""

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from functools import cache
from typing import Any

from import_pipeline.contracts import ImportSource


def meaning_of(source: ImportSource, hook: str) -> str:
    """Return the fingerprint of what a hook of the source means: its code, and the word of a declared source."""
    code, word = fingerprint_of(getattr(type(source), hook)), source.hook_values.get(hook)
    return code if word is None else hashlib.sha256(f"{code} {word}".encode()).hexdigest()[:16]


@cache  # reading and parsing the code of a function takes milliseconds, and each slice needs it
def fingerprint_of(hook: Callable[..., Any]) -> str:
    """Return the fingerprint of the code of a hook, without comments and layout."""
    function = inspect.unwrap(hook)
    try:
        text = "".join(map(ast.dump, _statements(textwrap.dedent(inspect.getsource(function)))))
    except (OSError, TypeError, ValueError, SyntaxError):  # defined at a prompt, or its source is not available
        code = getattr(function, "__code__", None)
        text = repr(function) if code is None else f"{code.co_code.hex()} {code.co_names} {code.co_consts}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _statements(text: str) -> list[ast.stmt]:
    """Return the statements of a function, without its docstring."""
    [function] = ast.parse(text).body
    body = function.body if isinstance(function, ast.FunctionDef) else [function]
    is_documented = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    return body[is_documented:]
