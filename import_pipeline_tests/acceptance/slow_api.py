"""An API that takes its time to answer, so that something is in flight whenever a test looks."""

from import_pipeline_tests.support.forked_cli import serve

#: An import of these items takes five seconds, with a handful of requests in flight at any time.
PACE = "6/1 second"
ITEMS = 30


def slow_api():
    """An API that takes its time to answer."""
    return serve("--items", str(ITEMS), "--limits", "none", "--delay-after", "150")
