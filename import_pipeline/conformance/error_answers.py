"""Answers that are no data: pages of proxies, empty bodies, errors in JSON. `classify` has to read each of them."""

import httpx

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import HookFailed
from import_pipeline.importer.user_code.hooks import ACTION_OR_NONE, call_hook

PAGE = "<html><body>Bad Gateway</body></html>"
#: Each may come from a proxy in front of any API.
ANSWERS = (
    httpx.Response(502, html=PAGE),
    httpx.Response(200, html=PAGE),
    httpx.Response(429),
    httpx.Response(403),
    httpx.Response(404, json={"message": "Not Found"}),
    httpx.Response(500, json=None),
    httpx.Response(400, json=["an", "array"]),
    httpx.Response(204),
)


def error_answer_problem(source: ImportSource) -> str | None:
    """Return the first answer that `classify` cannot read; None if it reads them all."""
    for answer in ANSWERS:
        answer.request = httpx.Request("GET", "https://api.test/")
        try:
            call_hook(source, "classify", answer, returns=ACTION_OR_NONE)
        except HookFailed as error:
            body = answer.text.strip()[:40] or "nothing"
            return f"{error}, for an answer {answer.status_code} with the body {body}: check type and status first"
    return None
