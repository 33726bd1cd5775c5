"""The server's statistics."""

from source_api.stats import Stats


def test_requests_are_counted_by_what_became_of_them():
    stats = Stats()
    one, two, refused, silent = (stats.begin(p) for p in ("/api/items/7", "/api/items/7", "/api/items", "/api/items/8"))
    for now, visit in ((1.5, one), (2.5, two), (3.5, silent)):
        stats.admit(visit, now)
    for visit, status in ((one, 200), (two, 500), (refused, 429)):
        stats.answer(visit, status)
        stats.end(visit)
    stats.end(silent)
    waiting = stats.begin("/api/items")
    assert stats.summary() == {
        "requests": 5,
        "admitted": 3,
        "details": 3,
        "by_status": {"200": 1, "429": 1, "500": 1},
        "rate_limited": 1,
        "unanswered": 1,
        "first_admitted": 1.5,
        "last_admitted": 3.5,
        "repeated_details": {"7": 2},
        "in_flight": 1,
        "peak_concurrency": 4,
    }
    assert stats.log() == [(1.5, "/api/items/7", 200), (2.5, "/api/items/7", 500), (3.5, "/api/items/8", None)]
    stats.end(waiting)


def test_forgetting_leaves_only_what_is_in_flight():
    stats = Stats()
    stats.admit(stats.begin("/api/items/7"), 1.0)
    stats.forget()
    assert stats.log() == []
    summary = stats.summary()
    assert {key: value for key, value in summary.items() if value} == {"in_flight": 1, "peak_concurrency": 1}
