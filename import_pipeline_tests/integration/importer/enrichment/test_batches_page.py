"""The example of docs/sources/batches.md works as it stands."""

import json
import re
from pathlib import Path

from import_pipeline.testing import CannedTransport, check_conformance, rehearse

PAGE = Path(__file__).parents[4] / "docs" / "sources" / "batches.md"


def example():
    """Return the source that the page shows, as a reader would copy it."""
    [text] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names = {"__name__": "my_sources"}
    exec(text, names)
    [orders] = names["SOURCES"]
    return orders


def answer(request):
    """Answer as the page's API does: two pages of orders; the second order has a second page of lines."""
    if request.url.path == "/orders":
        after = int(request.url.params.get("after", 0))
        return {"orders": [{"id": after + 1}, {"id": after + 2}], "next": after + 2 if after < 2 else None}
    if request.url.path == "/orders/read":
        ids = json.loads(request.content)["ids"]
        return {"results": [order(each) for each in ids]}
    return {"lines": [{"sku": "c"}]}


def order(number):
    more = {"next": "b"} if number == "2" else {}
    return {"id": int(number), "customer": f"customer {number}", "lines": [{"sku": "a"}, {"sku": "b"}]} | more


def test_the_example_imports_orders_in_a_batch_with_their_lines(tmp_path):
    transport = CannedTransport(answer)
    rehearsal = rehearse(example(), transport, tmp_path)
    assert (rehearsal.summary.status, rehearsal.failures) == ("completed", {})
    assert {key: row["customer"] for key, row in rehearsal.rows.items()} == {n: f"customer {n}" for n in "1234"}
    paths = [request.url.path for request in transport.requests]
    assert sorted(paths) == ["/orders", "/orders", "/orders/2/lines", "/orders/read"]


def test_the_example_conforms(tmp_path):
    check_conformance(example(), CannedTransport(answer), tmp_path, show=lambda line: None)
