"""What the program says while it works: one sentence a line, with the stable action that programs look for.

Whoever wants to hear it configures the logger `import_pipeline` as any other, or calls `set_up`. Records bear `action`
and `fields` (import_id, source and the like). Secrets are masked where records are made (see `redaction`).
"""

import json
import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TextIO

from import_pipeline.wording import visible, visible_lines

LOGGER = logging.getLogger("import_pipeline")
_NOBODY = logging.NullHandler()


class Form(StrEnum):
    """How a line looks."""

    TEXT = "text"  #: for people: time, level, action, sentence, fields
    JSON = "json"  #: one object a line, for programs


def report(action: str, sentence: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Say what happened. Fields that are None are left out."""
    told = {name: value for name, value in fields.items() if value is not None}
    LOGGER.log(level, "%s", sentence, extra={"action": action, "fields": told}, stacklevel=2)


def keep_quiet() -> None:
    """Write no line of this process before `set_up`: Python itself writes warnings that no handler is there for."""
    LOGGER.addHandler(_NOBODY)


def set_up(form: Form, stream: TextIO | None = None) -> None:
    """Write the lines of this process to the stream (standard error); a second call replaces the first."""
    for handler in [each for each in LOGGER.handlers if isinstance(each, _Lines)]:
        LOGGER.removeHandler(handler)
    handler = _Lines(stream or sys.stderr)
    handler.setFormatter(_AsJson() if form is Form.JSON else _AsText())
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False


def action_of(record: logging.LogRecord) -> str:
    """The record's action; a line that somebody else wrote has its logger's name."""
    return str(getattr(record, "action", record.name))


class _Lines(logging.StreamHandler[TextIO]):
    """Ours, to be told from a user's."""


class _AsText(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone()
        fields = "".join(f" {name}={visible(str(value))}" for name, value in getattr(record, "fields", {}).items())
        error = f"\n{visible_lines(record.exc_text)}" if record.exc_text else ""
        head = f"{at:%Y-%m-%d %H:%M:%S%z} {record.levelname:<7} {action_of(record)}"
        return f"{head}: {visible(record.getMessage())}{fields}{error}"


class _AsJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "action": action_of(record),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return json.dumps(line | ({"error": record.exc_text} if record.exc_text else {}), default=str)
