"""Stored versions outlive the code that made them: under another `version()` they say nothing, and are forgotten."""

import ast
import hashlib
import inspect
import textwrap

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.importer.discovery.checkpoint import Checkpoint
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.tracking import events, source_items

#: All details are fetched anew, once.
VERSIONS_FORGOTTEN = "versions_forgotten"


def meaning_of(source: ImportSource) -> str:
    """Return the fingerprint of the source's `version()`: of what it does, not of its comments or its layout."""
    function = inspect.unwrap(type(source).version)
    try:
        text = "".join(map(ast.dump, _statements(textwrap.dedent(inspect.getsource(function)))))
    except (OSError, TypeError, ValueError, SyntaxError):  # written at a prompt, or kept without its text
        code = getattr(function, "__code__", None)
        text = repr(function) if code is None else f"{code.co_code.hex()} {code.co_names} {code.co_consts}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _statements(text: str) -> list[ast.stmt]:
    """The statements of a function's text, without its docstring."""
    [function] = ast.parse(text).body
    body = function.body if isinstance(function, ast.FunctionDef) else [function]
    is_documented = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    return body[is_documented:]


async def forget_versions_of_another_meaning(work: ImportContext, checkpoint: Checkpoint) -> None:
    """Forget the source's stored versions if `version()` was another one when they were stored."""
    now = meaning_of(work.source)

    def forget(connection: Connection) -> None:
        stored = checkpoint if checkpoint.basis else Checkpoint.read(source_items.last_checkpoint(connection, work.row))
        if stored.basis is None or stored.basis.versions == now:
            return
        count = source_items.forget(connection, work.source.name)
        if count:
            sentence = (
                f"The versions of {count:,} items are forgotten, since {type(work.source).__name__}.version has "
                f"changed: all details are fetched anew, once."
            )
            events.note(connection, work.row.id, work.clock.now(), VERSIONS_FORGOTTEN, sentence, items=count)

    await work.write(forget)
