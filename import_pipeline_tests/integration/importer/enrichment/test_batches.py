"""Details in batches: full batches only, one transaction per answer, and an item that spoils a batch fails alone."""

from collections import Counter

import httpx
import pytest

from import_pipeline.errors import ItemRejected, ItemRetryable
from import_pipeline.tracking import events, items
from import_pipeline_tests.support.batch_api import BatchApi, Deals, import_deals, result, results
from import_pipeline_tests.support.imports import counts, reasons, rows, tracking

REFUSED = httpx.Response(400, json={"message": "an id is invalid"})


def labels(configured):
    return {external_id: row["label"] for external_id, row in rows(configured, Deals.model).items()}


def expected(ids):
    return {str(each): f"deal {each}" for each in ids}


def noted(configured, action):
    """Return the messages of the import's events of that kind."""
    with tracking(configured) as connection:
        return [message for _, kind, message in events.latest(connection, 1) if kind == action]


@pytest.mark.parametrize(("per_page", "concurrency"), [(100, "10"), (30, "1"), (7, "10")])
def test_batches_are_full_except_the_last_one_while_the_list_is_read(home, per_page, concurrency):
    api = BatchApi(range(1, 1051))
    summary, configured = import_deals(
        api, home, type("Deals", (Deals,), {"per_page": per_page})(), ITEMS_CONCURRENCY=concurrency
    )
    assert counts(summary) == ("completed", 1050, 1050, 0, 0)
    assert sorted(api.sizes) == [50] + [100] * 10
    assert labels(configured) == expected(range(1, 1051))
    assert summary.requests_count == 11 + api.lists


def test_both_databases_store_a_batch(home, database_url):
    api = BatchApi(range(1, 251))
    summary, configured = import_deals(api, home, database_url=database_url)
    assert counts(summary) == ("completed", 250, 250, 0, 0)
    assert api.sizes == [100, 100, 50]
    assert labels(configured) == expected(range(1, 251))


@pytest.mark.parametrize(("status", "poison"), [(400, "1"), (403, "64"), (409, "100"), (422, "2")])
def test_an_item_for_which_the_batch_is_refused_fails_alone(home, status, poison):
    api = BatchApi(range(1, 101))
    api.answer = lambda ids: httpx.Response(status) if poison in ids else None
    summary, configured = import_deals(api, home)
    assert counts(summary) == ("completed", 100, 99, 0, 1)
    assert reasons(configured)[poison].startswith(f"the API answers {status} ")
    assert labels(configured) == expected(range(1, 101)) | {poison: None}
    assert len(api.batches) <= 1 + 2 * 7, "twice the binary logarithm"
    assert Counter(map(len, api.batches))[1] >= 1


@pytest.mark.parametrize("poison", ["1", "64"])
def test_an_item_that_the_api_no_longer_has_is_gone_alone(home, poison):
    api = BatchApi(range(1, 101))
    api.answer = lambda ids: httpx.Response(404) if poison in ids else None
    summary, configured = import_deals(api, home)
    assert counts(summary) == ("completed", 100, 99, 0, 0)
    assert (summary.items_gone_count, labels(configured)) == (1, expected(range(1, 101)) | {poison: None})


def test_an_item_that_breaks_the_api_fails_alone_after_its_tries(home):
    api = BatchApi(range(1, 101))
    api.answer = lambda ids: httpx.Response(500) if "42" in ids else None
    summary, configured = import_deals(api, home)
    assert counts(summary) == ("completed", 100, 99, 0, 1)
    assert list(reasons(configured)) == ["42"]
    assert len(api.batches) <= 20
    tries = [len(ids) for ids in api.batches if "42" in ids]
    assert tries == [100, 32, 10, 2, 1], "the last four of ten are two"


def test_an_item_that_breaks_the_api_fails_alone_although_there_is_one_try(home):
    api = BatchApi(range(1, 101))
    api.answer = lambda ids: httpx.Response(500) if "42" in ids else None
    summary, configured = import_deals(api, home, ITEMS_TRIES="1")
    assert counts(summary) == ("completed", 100, 99, 0, 1)
    assert list(reasons(configured)) == ["42"]


def test_a_storm_costs_each_batch_one_more_request_or_few(home):
    api, left = BatchApi(range(1, 501)), [httpx.Response(503), httpx.ReadError("broken"), httpx.Response(502)]
    api.answer = lambda ids: left.pop() if left else None
    summary, configured = import_deals(api, home)
    assert counts(summary) == ("completed", 500, 500, 0, 0)
    assert labels(configured) == expected(range(1, 501))
    assert len(api.batches) <= 5 + 2 * 4 + 1


def test_items_that_the_answer_lacks_fail_alone(home):
    api = BatchApi(range(1, 201))
    api.answer = lambda ids: results([each for each in ids if each not in {"3", "150", "151"}])
    summary, configured = import_deals(api, home)
    assert counts(summary) == ("completed", 200, 197, 0, 3)
    assert reasons(configured) == dict.fromkeys(["3", "150", "151"], "the answer has no item of this id")
    assert api.sizes == [100, 100]


def test_many_missing_items_beside_others_are_no_trouble_of_the_api(home):
    api = BatchApi(range(1, 301))
    api.answer = lambda ids: results(ids[:1])
    summary, _ = import_deals(api, home)
    assert counts(summary) == ("completed", 300, 3, 0, 297)
    assert len(api.batches) == 3


def test_answers_without_any_of_the_items_end_the_import_after_a_while(home):
    api = BatchApi(range(1, 1001))
    api.answer = lambda ids: results([])
    summary, _ = import_deals(api, home, ITEMS_MAX_OUTAGE="0.1")
    assert summary.status == "failed"
    assert "the answer has no item of this id" in summary.failure_reason
    assert summary.items_failed_count < 1000


def test_items_that_were_not_requested_are_ignored_and_counted_once(home):
    api = BatchApi(range(1, 201))
    api.answer = lambda ids: results([*ids, f"other {ids[0]}"])
    summary, configured = import_deals(api, home)
    assert counts(summary) == ("completed", 200, 200, 0, 0)
    assert labels(configured) == expected(range(1, 201))
    assert noted(configured, "details_not_requested") == [
        "The answers had 2 items that were not requested; they are ignored."
    ]


def test_an_item_that_is_there_twice_is_stored_and_one_with_two_details_fails_alone(home):
    api = BatchApi(range(1, 6))
    api.answer = lambda ids: {"results": [*results([*ids, "2"])["results"], result("3") | {"label": "another"}]}
    summary, configured = import_deals(api, home)
    assert counts(summary) == ("completed", 5, 4, 0, 1)
    assert reasons(configured) == {"3": "the answer has several different details of this item"}


class Numbered(Deals):
    """Answers with numbers as ids, in any order, as a mapping."""

    def details(self, response):
        return {int(each["id"]): each for each in reversed(response.json()["results"])}


def test_ids_may_be_numbers_and_details_a_mapping_in_any_order(home):
    summary, configured = import_deals(BatchApi(range(1, 6)), home, Numbered())
    assert counts(summary) == ("completed", 5, 5, 0, 0)
    assert labels(configured) == expected(range(1, 6))


@pytest.mark.parametrize(
    "body",
    [{"other": []}, {"results": [None]}, ["x"]],
    ids=["no results", "a null among them", "a list"],
)
def test_an_answer_of_another_shape_is_requested_in_halves_and_named(home, body):
    api = BatchApi(range(1, 9))
    api.answer = lambda ids: httpx.Response(200, json=body) if "5" in ids else None
    summary, configured = import_deals(api, home)
    assert counts(summary) == ("completed", 8, 7, 0, 1)
    assert reasons(configured)["5"].startswith("Deals.details raises ")


@pytest.mark.parametrize("returned", [None, "text", [1, 2], [(None, {})]])
def test_details_that_are_no_pairs_fail_items_and_not_the_import(home, returned):
    source = type("Deals", (Deals,), {"details": lambda self, response: returned})()
    summary, configured = import_deals(BatchApi([1, 2]), home, source)
    assert counts(summary) == ("completed", 2, 0, 0, 2)
    assert reasons(configured)["1"].startswith("Deals.details must return ")


class Picky(Deals.model):
    def populate(self, detail):
        super().populate(detail)
        if self.external_id == "3":
            raise KeyError("amount")
        if self.external_id == "4" and not detail.get("ready"):
            raise ItemRetryable("it is not ready")


def test_a_row_that_rejects_its_detail_fails_alone_with_its_own_part_of_the_answer(home):
    api, ready = BatchApi(range(1, 6)), {"4": 0}

    def answer(ids):
        ready["4"] += "4" in ids
        return {"results": [result(each) | {"ready": ready["4"] > 1} for each in ids]}

    api.answer = answer
    source = type("Deals", (Deals,), {"model": Picky, "keep_payloads": True})()
    summary, configured = import_deals(api, home, source)
    assert counts(summary) == ("completed", 5, 4, 0, 1)
    assert reasons(configured)["3"].startswith("Picky.populate raises KeyError: 'amount'")
    assert api.batches == [["1", "2", "3", "4", "5"], ["4"]]
    with tracking(configured) as connection:
        [failed] = items.failures(connection, 1)
    assert failed.payload == '{"id": "3", "label": "deal 3", "ready": false}'


def test_members_without_an_id_spoil_no_other_item(home):
    """APIs answer null in the place of an item that they do not find, and some add such members."""

    class Nulls(Deals):
        def details(self, response):
            return [((each or {}).get("id"), each) for each in response.json()["results"]]

    api = BatchApi(range(1, 6))
    api.answer = lambda ids: {"results": [None if i == "2" else result(i) for i in ids]}
    summary, configured = import_deals(api, home, Nulls())
    assert (counts(summary), len(api.batches)) == (("completed", 5, 4, 0, 1), 1)
    said = "the answer has no item of this id, but some without an id: check what `details` returns"
    assert reasons(configured) == {"2": said}


class Erring(Deals):
    """Reports the API's own errors of single items."""

    def details(self, response):
        for each in response.json()["results"]:
            yield each["id"], ItemRejected(each["error"]) if "error" in each else each


def test_an_error_in_place_of_a_detail_fails_that_item_with_its_reason(home):
    api = BatchApi(range(1, 6))
    api.answer = lambda ids: {"results": [{"id": i, "error": "archived"} if i == "2" else result(i) for i in ids]}
    summary, configured = import_deals(api, home, Erring())
    assert counts(summary) == ("completed", 5, 4, 0, 1)
    assert reasons(configured) == {"2": "archived"}


@pytest.mark.parametrize("most", [50, 3])
def test_batches_that_are_too_large_for_the_api_become_smaller_and_stay_so(home, most):
    api = BatchApi(range(1, 1001), most=most)
    summary, configured = import_deals(api, home)
    assert counts(summary) == ("completed", 1000, 1000, 0, 0)
    size = max(each for each in api.sizes if each <= most)
    assert len([each for each in api.sizes if each > most]) <= 10, "not one refused request per batch"
    assert len(api.batches) <= 1000 / size * 1.2 + 15
    assert noted(configured, "batches_smaller")


def test_an_answer_that_is_too_long_is_requested_in_smaller_batches(home):
    api = BatchApi(range(1, 401))
    summary, configured = import_deals(api, home, ITEMS_MAX_BODY="2000")
    assert counts(summary) == ("completed", 400, 400, 0, 0)
    assert noted(configured, "batches_smaller")


def test_a_request_that_costs_more_than_the_limits_allow_is_made_smaller(home):
    source = type("Deals", (Deals,), {"cost": lambda self, request: max(1, request.content.count(b'"') // 2 - 1)})()
    summary, _ = import_deals(BatchApi(range(1, 201)), home, source, ITEMS_LIMITS="60/1 second")
    assert counts(summary) == ("completed", 200, 200, 0, 0)


def test_an_id_for_which_no_request_can_be_built_fails_alone(home):
    def details_request(self, found):
        if any(row.external_id == "7" for row in found):
            raise ValueError("no seven")
        return super(source, self).details_request(found)

    source = type("Deals", (Deals,), {"details_request": details_request})
    summary, configured = import_deals(BatchApi(range(1, 101)), home, source())
    assert counts(summary) == ("completed", 100, 99, 0, 1)
    assert "no seven" in reasons(configured)["7"]


def test_a_refused_token_is_not_tried_in_halves(home):
    api = BatchApi(range(1, 1001))
    api.answer = lambda ids: httpx.Response(401)
    summary, _ = import_deals(api, home)
    assert summary.status == "failed"
    assert "401" in summary.failure_reason
    assert len(api.batches) == 1


def test_a_refused_right_for_all_items_ends_the_import_after_few_requests(home):
    api = BatchApi(range(1, 1001))
    api.answer = lambda ids: httpx.Response(403)
    summary, _ = import_deals(api, home)
    assert summary.status == "failed"
    assert len(api.batches) < 50


def test_a_batch_waits_for_its_permit_after_a_429(home):
    api, left = BatchApi(range(1, 301)), [httpx.Response(429, headers={"Retry-After": "1"})]
    api.answer = lambda ids: left.pop() if left else None
    summary, _ = import_deals(api, home)
    assert counts(summary) == ("completed", 300, 300, 0, 0)
    assert (api.sizes, summary.rate_limit_hits_count) == ([100, 100, 100, 100], 1)


def test_a_second_import_requests_only_changed_items(home):
    version = {"version": lambda self, item: versions.get(item["id"], "1")}
    source, versions = type("Deals", (Deals,), version)(), {}
    api = BatchApi(range(1, 301))
    import_deals(api, home, source)
    versions |= {"7": "2", "8": "2"}
    api.batches.clear()
    summary, _ = import_deals(api, home, source)
    assert counts(summary) == ("completed", 300, 2, 298, 0)
    assert api.batches == [["7", "8"]]


@pytest.mark.parametrize("status", [400, 404])
def test_two_neighbours_that_are_refused_do_not_make_other_batches_smaller(home, status):
    api = BatchApi(range(1, 401))
    api.answer = lambda ids: httpx.Response(status) if {"1", "2"} & {*ids} else None
    summary, configured = import_deals(api, home)
    assert summary.status == "completed"
    assert noted(configured, "batches_smaller") == []
    assert labels(configured) == expected(range(1, 401)) | {"1": None, "2": None}
    assert api.sizes.count(100) == 4


def test_a_batch_that_is_refused_for_a_moment_does_not_make_others_smaller(home):
    api, left = BatchApi(range(1, 401)), [None, httpx.Response(400)]
    api.answer = lambda ids: left.pop(0) if left else None
    summary, configured = import_deals(api, home)
    assert counts(summary) == ("completed", 400, 400, 0, 0)
    assert api.sizes == [100, 100, 50, 50, 100, 100]
    assert noted(configured, "batches_smaller") == []
