"""Log lines: a sentence, its action and its fields, as text or as JSON, with no secret in them."""

import io
import json
import logging
import re

import pytest

from import_pipeline.logs import LOGGER, Form, report, set_up
from import_pipeline.redaction import mask_logs, register


@pytest.fixture(autouse=True)
def as_before():
    """Restore the program's logger after the test."""
    kept = (LOGGER.handlers[:], LOGGER.level, LOGGER.propagate)
    yield
    LOGGER.handlers[:], level, LOGGER.propagate = kept
    LOGGER.setLevel(level)


def test_a_line_for_people():
    written = io.StringIO()
    set_up(Form.TEXT, written)
    report(
        "import_paused", "Paused for 100 % of a minute.", level=logging.WARNING, import_id=3, source="items", until=None
    )
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d{4} WARNING import_paused: Paused for 100 % of a minute\. "
        r"import_id=3 source=items\n",
        written.getvalue(),
    )


def test_a_line_for_programs():
    written = io.StringIO()
    set_up(Form.JSON, written)
    report("import_started", "Started.", import_id=3, source="items")
    line = json.loads(written.getvalue())
    assert line.pop("at").endswith("+00:00")
    expected = {"level": "info", "action": "import_started", "message": "Started.", "import_id": 3, "source": "items"}
    assert line == expected


def test_a_second_set_up_replaces_the_first():
    first, second = io.StringIO(), io.StringIO()
    set_up(Form.TEXT, first)
    set_up(Form.TEXT, second)
    report("said", "Once.")
    assert (first.getvalue(), second.getvalue().count("Once.")) == ("", 1)


def test_secrets_are_masked_in_lines_and_in_their_errors():
    register("planted-in-the-log-lines")
    mask_logs()
    written = io.StringIO()
    set_up(Form.JSON, written)
    report("said", "It is planted-in-the-log-lines.")
    try:
        raise ValueError("planted-in-the-log-lines")
    except ValueError:
        LOGGER.exception("It broke")
    said, broke = map(json.loads, written.getvalue().splitlines())
    assert said["message"] == "It is ***."
    assert (broke["action"], broke["error"].splitlines()[-1]) == ("import_pipeline", "ValueError: ***")
