"""Hypothesis strategies of lists as APIs serve them, and the allowed outcomes of an import of each."""

import json
from dataclasses import dataclass, field

import httpx
from hypothesis import strategies as st
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import ImportableMixin, ImportSource, next_link
from import_pipeline.contracts import Retry

#: Consecutive empty pages that the source accepts.
PATIENCE = 4
SIZE = 3


class Base(DeclarativeBase):
    """The tables of this module."""


class Listed(ImportableMixin, Base):
    """An item without a detail request: the list has all of its fields."""

    __tablename__ = "listed"

    id: Mapped[int] = mapped_column(primary_key=True)

    def detail_request(self):
        return None

    def populate(self, detail):
        raise NotImplementedError


class ListedSource(ImportSource):
    """A list by page numbers; each response states if there is a next page."""

    name = "listed"
    model = Listed
    base_url = "https://api.test/v1"
    limits = "100000/1 second"
    per_page = SIZE
    max_empty_pages = PATIENCE
    retry = Retry(tries=4, backoff=(0.001,))

    def list_request(self, page, per_page):
        return httpx.Request("GET", "/things", params={"page": page, "size": per_page})

    def items(self, response):
        return response.json()["data"]

    def has_next_page(self, response):
        return response.json()["more"]

    def stub(self, item):
        return Listed(external_id=item)

    def total(self, response):
        return response.json().get("total")


class ByCursor(ListedSource):
    """A list by a cursor of any name."""

    def next_request(self, response, page):
        cursor = response.json()["after"]
        return httpx.Request("GET", "/things", params={"session": cursor}) if cursor else None


class ByPost(ListedSource):
    """A list by a cursor in the body of a POST."""

    def list_request(self, page, per_page):
        return httpx.Request("POST", "/things", json={"size": per_page})

    def next_request(self, response, page):
        cursor = response.json()["after"]
        return httpx.Request("POST", "/things", json={"key": cursor}, headers={"X-V": "2"}) if cursor else None


class ByLink(ListedSource):
    """A list by a Link header of any form."""

    def next_request(self, response, page):
        link = next_link(response)
        return httpx.Request("GET", link) if link else None


class ByHttpxLinks(ListedSource):
    """A list by a Link header that httpx reads. A form unknown to httpx must not end the list silently."""

    def next_request(self, response, page):
        link = response.links.get("next")
        return httpx.Request("GET", link["url"]) if link else None


SOURCES = {"numbered": ListedSource, "cursor": ByCursor, "post": ByPost, "link": ByLink, "httpx": ByHttpxLinks}


@dataclass(frozen=True, kw_only=True)
class ListPlan:
    """A list: its pages (None: without a body) and its faults."""

    style: str
    pages: list
    total: int | None = None
    leads_back_to: int | None = None  #: the last page names that page as its next one
    never_ends: bool = False  #: the last page names a next one, and so on, without items
    rejected: int = 0  #: a page that the API does not accept at first, counted from 1; 0: none
    rejections: int = 0  #: the number of refusals
    status: int = 410
    unready: dict = field(default_factory=dict)  #: page -> how often it is answered 202
    form: str = '; rel="next"'  #: of the Link header
    deaths: list = field(default_factory=list)  #: list requests at which the process dies

    @property
    def ids(self):
        """Return all ids of the list."""
        return {item for page in self.pages for item in page or ()}

    @property
    def is_sound(self):
        """Return True if an import must bring all items and be complete."""
        rows = [item for page in self.pages for item in page or ()]
        return (
            self.leads_back_to is None
            and not (self.never_ends and (self.total != len(rows) or self.style != "numbered"))
            and self.rejections <= 1
            and (self.total is None or self.total <= len(rows))
            and len(rows) == len(set(rows))
            and self.longest_run < PATIENCE
            and self.style != "httpx"
        )

    @property
    def longest_run(self):
        """Return the highest number of consecutive pages without items."""
        longest = run = 0
        for page in self.pages:
            run = run + 1 if not page else 0
            longest = max(longest, run)
        return longest


class ListServer:
    """Serves a plan."""

    def __init__(self, plan):
        self.plan, self.asked = plan, 0
        self._rejected, self._unready = plan.rejections, dict(plan.unready)

    def __call__(self, request):
        self.asked += 1
        plan, number = self.plan, self._number(request)
        if self._unready.get(number, 0) > 0:
            self._unready[number] -= 1
            return httpx.Response(202, json={"state": "pending"})
        if number == plan.rejected and self._rejected:
            self._rejected -= 1
            return httpx.Response(plan.status, json={"error": "the cursor has expired"})
        following = self._following(number)
        page = plan.pages[number - 1] if number <= len(plan.pages) else []
        headers = {} if following is None else {"Link": f"<{self._link(following)}>{plan.form}"}
        if plan.style not in {"link", "httpx"}:
            headers = {}
        if page is None:
            return httpx.Response(204, headers=headers)
        body = {"data": page, "more": following is not None} | ({} if plan.total is None else {"total": plan.total})
        if plan.style in {"cursor", "post"}:
            body["after"] = None if following is None else f"c{following}"
        return httpx.Response(200, json=body, headers=headers)

    def _number(self, request):
        if self.plan.style == "post":
            found = json.loads(request.content).get("key")
        else:
            found = request.url.params.get("session") or request.url.params.get("page")
        return int(str(found or "1").lstrip("c"))

    def _following(self, number):
        plan = self.plan
        if number < len(plan.pages):
            return number + 1
        if number == len(plan.pages) and plan.leads_back_to is not None:
            return plan.leads_back_to
        return number + 1 if plan.never_ends else None

    def _link(self, number):
        path = ["https://api.test/v1/things", "/v1/things", "things", ""][number % 4]
        return f"{path}?page={number}&size={SIZE}"


FORMS = ['; rel="next"', "; rel=next", '; rel="next last"', '; Rel="NEXT"', '; title="a, b"; rel="next"']


@st.composite
def list_plans(draw):
    """Draw a plan; most have few faults, some have many."""
    style = draw(st.sampled_from(list(SOURCES)))
    sizes = draw(st.lists(st.integers(0, SIZE), min_size=1, max_size=9))
    numbers = iter(range(1, 100))
    pages = [[f"i{next(numbers)}" for _ in range(size)] for size in sizes]
    if style in {"numbered", "link"} and draw(st.booleans()):
        # A page without a body cannot say if the list goes on: between two numbered ones with bodies it is a hole.
        spots = [n for n in range(1, len(pages) - 1) if style == "link" or n % 2]
        for spot in draw(st.lists(st.sampled_from(spots), max_size=3) if spots else st.just([])):
            pages[spot] = None
    if style in {"cursor", "post"} and draw(st.integers(0, 4)) == 0:
        pages.append(None)
    if draw(st.integers(0, 5)) == 0 and len(pages) > 1:
        spot = draw(st.integers(1, len(pages) - 1))
        if pages[spot] is not None:
            pages[spot] = draw(st.sampled_from([page or [] for page in pages]))
    count = sum(len(page or ()) for page in pages)
    is_numbered = style == "numbered"
    unready = draw(st.dictionaries(st.integers(1, len(pages)), st.integers(1, 2), max_size=2))
    rejected = draw(st.sampled_from([0, 0, *range(2, len(pages) + 1)]))
    back = None if is_numbered or draw(st.integers(0, 3)) else draw(st.integers(1, len(pages)))
    totals = [None, None, count, count, max(0, count - 2), count + 1]
    if is_numbered:
        if rejected and pages[rejected - 2] is None:  # beyond a page without a body, a refusal is the end
            rejected = 0
        # Of numbered pages, a total that is met ends a long run of empty ones: it must be the list's own.
        totals[4] = count
    if style == "httpx":  # and beside an overlooked link, a total that is met decides
        totals[4] = count
    return ListPlan(
        style=style,
        pages=pages,
        total=draw(st.sampled_from(totals)),
        leads_back_to=back,
        never_ends=back is None and draw(st.integers(0, 5)) == 0,
        rejected=rejected,
        rejections=draw(st.sampled_from([1, 1, 1, 2, 9])) if rejected else 0,
        status=draw(st.sampled_from([400, 404, 410])),
        unready=unready,
        form=draw(st.sampled_from(FORMS)),
        deaths=draw(st.lists(st.integers(1, 12), max_size=2, unique=True)),
    )
