"""A demo API that answers slowly, so that requests are in flight during the test."""

from import_pipeline_tests.support.forked_cli import serve

#: An import of these items takes five seconds, with a handful of requests in flight at any time.
PACE = "6/1 second"
ITEMS = 30


def slow_api():
    """Serve the demo API with slow answers; yield its address."""
    return serve("--items", str(ITEMS), "--limits", "none", "--delay-after", "150")
