"""Versions that were stored under another `version()`: they equal by chance only, and are forgotten."""

from import_pipeline.importer.discovery.stored_versions import fingerprint_of_version
from import_pipeline.sources.items import ItemsSource
from import_pipeline.testing import CannedTransport
from import_pipeline_tests.support.changing_list import URL, detail
from import_pipeline_tests.support.imports import counts, import_through, settings, tracking


class ByRevision(ItemsSource):
    """The number of a revision."""

    def version(self, item):
        return str(item["revision"])


class ByComments(ItemsSource):
    """The number of comments, which may be the same one."""

    def version(self, item):
        return str(item["comments"])


class ByRevisionToo(ItemsSource):
    """The number of a revision, by another `version()`."""

    # A comment, another layout.
    def version(self, item: dict) -> str:
        """A text about it."""
        return str(
            item["revision"],
        )


def answer(request):
    if request.url.path != "/api/items":
        return detail(request.url.path.rpartition("/")[2])
    data = [{"id": each, "name": "n", "revision": 3, "comments": 3} for each in range(1, 5)]
    return {"data": data, "current_page": 1, "last_page": 1, "total": 4}


def forgotten(configured):
    with tracking(configured) as connection:
        query = "SELECT import_id, message FROM import_events WHERE action = 'versions_forgotten'"
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def test_versions_of_another_meaning_make_nothing_unchanged(home, database_url):
    configured = settings(home, URL, DATABASE_URL=database_url)

    def take(source):
        return counts(import_through(CannedTransport(answer), source, configured))

    assert take(ByRevision()) == ("completed", 4, 4, 0, 0)
    assert take(ByRevisionToo()) == ("completed", 4, 0, 4, 0)
    assert forgotten(configured) == []
    assert take(ByComments()) == ("completed", 4, 4, 0, 0)
    assert forgotten(configured) == [
        (
            3,
            "The stored versions of 4 items are forgotten, since ByComments.version has changed: all details are "
            "fetched again, once.",
        )
    ]
    assert take(ByComments()) == ("completed", 4, 0, 4, 0)


def test_a_meaning_is_what_the_code_does_not_how_it_is_written():
    assert (
        fingerprint_of_version(ByRevision())
        == fingerprint_of_version(ByRevisionToo())
        != fingerprint_of_version(ByComments())
    )
    without_text = {}
    exec("def version(self, item):\n    return item['x']", without_text)
    typed = type("Typed", (ItemsSource,), {"version": without_text["version"]})()
    assert fingerprint_of_version(typed) == fingerprint_of_version(typed) != fingerprint_of_version(ItemsSource())
