"""Follow-up requests of a row: all answers of an item are stored together, and one that never ends fails alone."""

import httpx
import pytest
from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from import_pipeline.contracts import ImportableMixin
from import_pipeline_tests.support.batch_api import Base, BatchApi, Deals, import_deals, result
from import_pipeline_tests.support.imports import counts, reasons, rows


class Issue(ImportableMixin, Base):
    """An issue whose comments come in pages of their own."""

    __tablename__ = "issues"
    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str | None]
    comments: Mapped[list[str] | None] = mapped_column(JSON)

    def detail_request(self):
        return httpx.Request("GET", f"/issues/{self.external_id}")

    def populate(self, detail):
        if "label" in detail:
            self.label, self.comments = detail["label"], []
        self.comments = [*self.comments, *detail.get("comments", [])]

    def more(self, detail):
        return (
            httpx.Request("GET", f"/issues/{self.external_id}/comments", params=detail["next"])
            if (detail.get("next"))
            else None
        )


class Issues(Deals):
    """One request per issue, and one per page of its comments."""

    model = Issue
    details_per_request = None
    details_request = Deals.__mro__[1].details_request
    details = Deals.__mro__[1].details


class BatchedIssues(Deals):
    model = Issue


class IssueApi(BatchApi):
    """Each issue has `pages` pages of one comment; `answer` may replace the answer to a follow-up request."""

    def __init__(self, ids, pages=3):
        super().__init__(ids)
        self.pages, self.follow_ups = pages, []
        self.follow_up = lambda issue, page: None

    def __call__(self, request):
        parts = request.url.path.split("/")
        if parts[1] != "issues":
            answer = super().__call__(request)
            if isinstance(answer, dict) and "results" in answer:
                answer = {"results": [self.issue(each["id"]) for each in answer["results"]]}
            return answer
        if len(parts) == 3:
            return self.issue(parts[2])
        page = int(request.url.params["page"])
        self.follow_ups.append((parts[2], page))
        following = {"next": {"page": page + 1}} if page < self.pages else {}
        return self.follow_up(parts[2], page) or {"comments": [f"{parts[2]}.{page}"]} | following

    def issue(self, number):
        return result(number) | ({"next": {"page": 1}} if self.pages else {})


@pytest.fixture(params=[Issues, BatchedIssues], ids=["one by one", "in batches"])
def source(request):
    return request.param()


def comments(configured):
    return {external_id: row["comments"] for external_id, row in rows(configured, Issue).items()}


def test_all_answers_of_an_item_are_stored_together(home, source, database_url):
    api = IssueApi(range(1, 8))
    summary, configured = import_deals(api, home, source, database_url, ITEMS_CONCURRENCY="3")
    assert counts(summary) == ("completed", 7, 7, 0, 0)
    assert comments(configured) == {str(n): [f"{n}.1", f"{n}.2", f"{n}.3"] for n in range(1, 8)}
    assert len(api.follow_ups) == 21


def test_an_item_without_more_needs_no_further_request(home, source):
    api = IssueApi(range(1, 8), pages=0)
    summary, _ = import_deals(api, home, source)
    assert (counts(summary), api.follow_ups) == (("completed", 7, 7, 0, 0), [])


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({2: {"comments": [], "next": {"page": 1}}}, "Issue.more returns a request that was sent for this item before"),
        ({2: httpx.Response(404)}, "the API answers 404 "),
        ({2: httpx.Response(200, text="<html>")}, "Issues.detail raises JSONDecodeError"),
        ({2: httpx.Response(304)}, "the API answers 304 "),
        ({2: {"comments": 5}}, "Issue.populate raises TypeError"),
        ({2: {"next": 5}}, "Issue.more raises "),
    ],
    ids=["cycle", "absent", "no JSON", "unasked 304", "populate", "more"],
)
def test_an_item_whose_follow_up_fails_is_left_alone_as_it_was(home, answers, reason):
    api = IssueApi(range(1, 4))
    api.follow_up = lambda issue, page: answers.get(page) if issue == "2" else None
    summary, configured = import_deals(api, home, Issues())
    assert counts(summary) == ("completed", 3, 2, 0, 1)
    assert reasons(configured)["2"].startswith(reason)
    assert comments(configured)["2"] is None


def test_a_follow_up_that_fails_for_a_moment_repeats_its_item(home, source):
    api, left = IssueApi(range(1, 4)), [httpx.Response(503), httpx.ReadTimeout("slow")]
    api.follow_up = lambda issue, page: left.pop() if left and page == 2 else None
    summary, configured = import_deals(api, home, source)
    assert counts(summary) == ("completed", 3, 3, 0, 0)
    assert comments(configured)["1"] == ["1.1", "1.2", "1.3"]
    assert len(api.follow_ups) <= 9 + 4, "only the items that failed"


def test_an_item_with_endless_follow_ups_fails_alone(home):
    api = IssueApi([1, 2], pages=0)
    api.issue = lambda number: result(number) | ({"next": {"page": 1}} if number == "2" else {})
    api.pages = 10**9
    summary, configured = import_deals(api, home, Issues())
    assert counts(summary) == ("completed", 2, 1, 0, 1)
    assert reasons(configured)["2"] == "Issue.more still returns a request after 1,000 follow-up requests"
    assert len(api.follow_ups) == 1000


def test_follow_up_requests_are_counted(home, source):
    api = IssueApi([1, 2])
    summary, _ = import_deals(api, home, source)
    assert summary.requests_count == len(api.follow_ups) + api.lists + (2 if source.details_per_request is None else 1)
