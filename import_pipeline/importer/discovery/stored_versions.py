"""Forget stored versions if the source's `version()` has changed since they were stored."""

import ast
import hashlib
import inspect
import textwrap

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.importer.discovery.checkpoint import Checkpoint
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.tracking import events, source_items

#: Event: all details are fetched again, once.
VERSIONS_FORGOTTEN = "versions_forgotten"


def fingerprint_of_version(source: ImportSource) -> str:
    """Return the fingerprint of the code of the source's `version()`, without comments and layout."""
    function = inspect.unwrap(type(source).version)
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


async def forget_outdated_versions(context: ImportContext, checkpoint: Checkpoint) -> None:
    """Forget the source's stored versions if `version()` was different when they were stored."""
    now = fingerprint_of_version(context.source)

    def forget(connection: Connection) -> None:
        stored = (
            checkpoint if checkpoint.basis else Checkpoint.read(source_items.last_checkpoint(connection, context.row))
        )
        if stored.basis is None or stored.basis.versions == now:
            return
        count = source_items.forget_versions(connection, context.source.name)
        if count:
            sentence = (
                f"The stored versions of {count:,} items are forgotten, since {type(context.source).__name__}.version "
                "has changed: all details are fetched again, once."
            )
            events.note(connection, context.row.id, context.clock.now(), VERSIONS_FORGOTTEN, sentence, items=count)

    await context.write(forget)
