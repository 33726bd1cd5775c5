"""The words for a status are the same on every Python."""

import httpx
import pytest

from import_pipeline.rules.responses.status_phrases import WORDS, phrase


@pytest.mark.parametrize(("status", "text"), [(404, "404 Not Found"), (599, "599"), (799, "799"), (-1, "-1")])
def test_a_status_is_called_by_its_usual_phrase(status, text):
    assert phrase(status) == text


#: Named otherwise by `http.HTTPStatus` in one version of Python or another.
CHANGED = {
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    416: "Requested Range Not Satisfiable",
    418: "I'm a teapot",
    422: "Unprocessable Entity",
}


def test_a_phrase_does_not_follow_the_interpreter():
    assert {status: WORDS[status] for status in CHANGED} == CHANGED


def test_every_registered_status_has_a_phrase():
    assert {int(code): code.get_reason_phrase(code) for code in httpx.codes} == WORDS
