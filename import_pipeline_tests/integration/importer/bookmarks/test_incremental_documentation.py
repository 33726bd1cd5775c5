"""The example of docs/sources/incremental.md, as it stands."""

import re
from pathlib import Path

from import_pipeline.importer.source_loader import validate
from import_pipeline.testing import CannedTransport
from import_pipeline_tests.support.imports import import_through, latest, rows, settings

PAGE = Path("docs/sources/incremental.md")
ORDERS = {
    "1": {"id": "1", "updated_at": "2020-01-01T00:00:00Z", "deleted": False},
    "2": {"id": "2", "updated_at": "2020-01-02T00:00:00Z", "deleted": False},
}


def answer(request):
    order = request.url.path.removeprefix("/orders").strip("/")
    if order:
        return {"total": ORDERS[order]["updated_at"]}
    since = request.url.params.get("updated_since", "")
    return {"data": [each for each in ORDERS.values() if each["updated_at"] >= since], "has_more": False}


def test_the_example_imports_only_what_changed_the_second_time(home):
    [example] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names = {"__name__": "my_sources"}
    exec(example, names)
    [source] = validate(names["SOURCES"], "SOURCES")
    configured = settings(home, "https://api.example.com", ORDERS_LIMITS="none")
    first, second = CannedTransport(answer), CannedTransport(answer)
    summary = import_through(first, source, configured)
    assert (summary.status, summary.bookmark) == ("completed", "2020-01-02T00:00:00Z")
    summary = import_through(second, source, configured)
    assert (latest(configured).kind, summary.since) == ("incremental", "2020-01-01T23:55:00Z")
    assert len(second.requests) == 1
    stored = {key: row["total"] for key, row in rows(configured, names["Order"]).items()}
    assert stored == {key: order["updated_at"] for key, order in ORDERS.items()}
