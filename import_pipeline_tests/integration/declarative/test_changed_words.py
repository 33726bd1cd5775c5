"""A declared word that changes between imports counts as changed code: what was stored by another word is not used."""

import httpx

from import_pipeline import RestSource
from import_pipeline.testing import CannedTransport
from import_pipeline_tests.support.imports import import_through, latest, rows, settings, tracking

URL = "https://api.test"


class TwoTimes:
    """Items with the time of their creation and that of their last change; a list is filtered by either of them."""

    def __init__(self):
        self.items = {}

    def put(self, external_id, created, changed, text):
        self.items[external_id] = {"id": external_id, "created": created, "changed": changed, "n": 1, "text": text}

    def __call__(self, request):
        if request.url.path != "/things":
            return self.items[request.url.path.rpartition("/")[2]]
        since = dict(request.url.params)
        found = [item for item in self.items.values() if all(item[name] >= since[name] for name in since)]
        return httpx.Response(200, json=found, headers={"Date": "Tue, 01 Jan 2030 00:00:00 GMT"})


def declared(**words):
    return RestSource(name="items", base_url=URL, list="/things", pages="one_page", columns={"text": "text"}, **words)


def changes_by(word):
    return declared(incremental={"position": word, "param": word})


def test_a_bookmark_is_not_compared_with_the_values_of_another_word(home):
    api, configured = TwoTimes(), settings(home, URL)
    api.put("1", "2029-01-01T00:00:00Z", "2029-01-01T00:00:00Z", "old")
    api.put("2", "2029-09-01T00:00:00Z", "2029-09-01T00:00:00Z", "old")
    import_through(CannedTransport(api), changes_by("created"), configured)
    api.put("1", "2029-01-01T00:00:00Z", "2029-06-01T00:00:00Z", "new")
    import_through(CannedTransport(api), changes_by("changed"), configured)
    assert latest(configured).kind == "full"
    assert rows(configured, changes_by("changed").model)["1"]["text"] == "new"
    import_through(CannedTransport(api), changes_by("changed"), configured)
    assert latest(configured).kind == "incremental"


def test_versions_that_another_word_has_read_make_nothing_unchanged(home):
    api, configured = TwoTimes(), settings(home, URL)
    api.put("1", "1", "2", "old")

    def take(word):
        source = declared(detail="/things/{id}", version=word)
        summary = import_through(CannedTransport(api), source, configured)
        return summary.items_imported_count, summary.items_unchanged_count

    assert take("created") == (1, 0)
    api.put("1", "2", "1", "new")
    assert take("changed") == (1, 0)
    assert take("changed") == (0, 1)
    with tracking(configured) as connection:
        query = "SELECT message FROM import_events WHERE action = 'versions_forgotten'"
        [said] = connection.exec_driver_sql(query).scalars()
    forgotten = "The stored versions of 1 items are forgotten, since"
    assert said == f"{forgotten} items.version has changed: all details are fetched again, once."
