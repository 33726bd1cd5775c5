"""Log lines: one sentence each, with a stable action for programs.

Configure the logger `import_pipeline` as any other, or call `set_up`. Records have the attributes `action` and `fields`
(import_id, source and others). Secrets are masked when a record is created (see `redaction`).
"""

import json
import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TextIO

from import_pipeline.wording import visible, visible_lines

LOGGER = logging.getLogger("import_pipeline")
_NULL_HANDLER = logging.NullHandler()


class Form(StrEnum):
    """The format of a line."""

    TEXT = "text"  #: for people: time, level, action, sentence, fields
    JSON = "json"  #: for programs: one object a line


def report(action: str, sentence: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log an event. Fields that are None are omitted."""
    given = {name: value for name, value in fields.items() if value is not None}
    LOGGER.log(level, "%s", sentence, extra={"action": action, "fields": given}, stacklevel=2)


def keep_quiet() -> None:
    """Write no line before `set_up`. Without a handler, Python itself would print warnings."""
    LOGGER.addHandler(_NULL_HANDLER)


def set_up(form: Form, stream: TextIO | None = None) -> None:
    """Write log lines to the stream, by default standard error. A second call replaces the first."""
    for handler in [each for each in LOGGER.handlers if isinstance(each, _Lines)]:
        LOGGER.removeHandler(handler)
    handler = _Lines(stream or sys.stderr)
    handler.setFormatter(_AsJson() if form is Form.JSON else _AsText())
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False


def action_of(record: logging.LogRecord) -> str:
    """Return the action of a record, or the name of its logger if another library wrote it."""
    return str(getattr(record, "action", record.name))


class _Lines(logging.StreamHandler[TextIO]):
    """The handler of `set_up`, distinguishable from a user's."""


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
