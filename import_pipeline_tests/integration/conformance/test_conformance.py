"""The conformance kit: a good source keeps every property, and each mistake breaks the property that is about it."""

import itertools
import json

import httpx
import pytest
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import SKIP, Cursor, ImportableMixin, ImportSource, Incremental, PageNumber, path_segment
from import_pipeline.conformance.incremental import incremental_checks
from import_pipeline.conformance.shifting import shifting_checks
from import_pipeline.conformance.trial import Trial
from import_pipeline.testing import CannedTransport, check_conformance


class Base(DeclarativeBase):
    pass


class Book(ImportableMixin, Base):
    __tablename__ = "books_to_conform"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str | None] = mapped_column(String(50))

    def detail_request(self):
        return httpx.Request("GET", f"/books/{path_segment(self.external_id)}")

    def populate(self, detail):
        self.title = detail["title"]


class Books(ImportSource):
    name, model, per_page, pages = "books", Book, 2, Cursor(next="next", param="after")

    def list_request(self):
        return httpx.Request("GET", "/books")

    def items(self, list_response):
        return list_response.json()["books"]

    def stub(self, item):
        return Book(external_id=str(item["id"]))

    def version(self, item):
        return item["updated"]


def answer(request):
    if request.url.path != "/books":
        return {"title": f"title of {request.url.path.rpartition('/')[2]}"}
    after = int(request.url.params.get("after", 0))
    books = [{"id": each, "updated": "then"} for each in (after + 1, after + 2)]
    return {"books": books, "next": str(after + 2) if after < 4 else None}


def broken(source, tmp_path, answers=answer):
    """The names of the properties that the source breaks."""
    lines = []
    with pytest.raises(AssertionError) as refused:
        check_conformance(source, CannedTransport(answers), tmp_path, show=lines.append)
    failed = [line.removeprefix("FAILED  ").partition(":")[0] for line in lines if line.startswith("FAILED")]
    assert all(name in str(refused.value) for name in failed)
    return failed


def test_a_good_source_keeps_every_property(tmp_path):
    lines = []
    found = check_conformance(Books(), CannedTransport(answer), tmp_path, show=lines.append)
    assert [each.problem for each in found] == [None] * 12
    assert all(line.startswith("ok      ") for line in lines)


class Numbered(Books):
    """Three numbered pages with a total."""

    pages = PageNumber(more="more")

    def total(self, list_response):
        return list_response.json()["total"]


class Deaf(Numbered):
    """Takes each total for that of the first page."""

    def total(self, list_response):
        return 6


def numbered(request):
    if request.url.path != "/books":
        return answer(request)
    page = int(request.url.params["page"])
    books = [{"id": each, "updated": "then"} for each in (2 * page - 1, 2 * page)]
    return {"books": books, "more": page < 3, "total": 6}


@pytest.mark.parametrize("source", [Numbered(), Deaf()], ids=["a total of each page", "always the same"])
def test_an_item_that_slides_onto_a_page_that_was_read_is_not_lost_silently(tmp_path, source):
    trial = Trial(source, CannedTransport(numbered), tmp_path)
    [(name, check)] = shifting_checks(trial)
    assert (name, check()) == ("an item that slides onto a page that was read already is found", None)


class Hasty(Books):
    """Reads each answer as JSON, whatever it is."""

    def classify(self, response):
        return SKIP if response.json().get("error") == "draft" else None


class Careful(Hasty):
    """Reads JSON only."""

    def classify(self, response):
        if response.headers.get("Content-Type") != "application/json" or not isinstance(response.json(), dict):
            return None
        return super().classify(response)


def test_a_classify_that_fails_for_the_page_of_a_proxy_is_found(tmp_path):
    assert broken(Hasty(), tmp_path) == ["classify reads any answer, also that of a proxy"]


def test_a_classify_that_checks_the_answer_first_keeps_every_property(tmp_path):
    found = check_conformance(Careful(), CannedTransport(answer), tmp_path, show=lambda line: None)
    assert [each.problem for each in found] == [None] * 13


def test_a_version_that_changes_by_itself_is_found(tmp_path):
    source, count = Books(), itertools.count()
    source.version = lambda item: str(next(count))
    assert broken(source, tmp_path) == ["a second import without changes fetches no details"]


class UntilEmpty(Books):
    """Ends at the first page without items."""

    pages = None

    def list_request(self, page, per_page):
        return httpx.Request("GET", "/books", params={"after": (page - 1) * 2})

    def has_next_page(self, list_response):
        return bool(self.items(list_response)) and list_response.json()["next"] is not None


def test_a_list_that_ends_at_an_empty_page_is_found(tmp_path):
    def counted(request):  # nothing in the answer names the next page, or importing would doubt the end by itself
        got = answer(request)
        return {("following" if key == "next" else key): value for key, value in got.items()}

    class Unaware(UntilEmpty):
        def has_next_page(self, list_response):
            return bool(self.items(list_response)) and list_response.json()["following"] is not None

    assert broken(Unaware(), tmp_path, counted) == ["an empty page in the middle of the list loses nothing silently"]


class Raw(Book):
    """Its id is put into the address as it is."""

    def detail_request(self):
        return httpx.Request("GET", f"/books/{self.external_id}")


def test_an_id_that_escapes_from_its_place_in_the_address_is_found(tmp_path):
    source = Books()
    source.stub = lambda item: Raw(external_id=str(item["id"]))
    source.model = Raw
    assert broken(source, tmp_path) == ["an id with odd characters stays in its place in the address"]


def test_a_detail_that_is_taken_whatever_it_is_is_found(tmp_path):
    source = Books()
    source.detail = lambda response: {"title": response.text}
    assert broken(source, tmp_path) == ["a broken detail fails its item alone"]


def test_without_a_plain_import_nothing_else_is_tried(tmp_path):
    lines = []
    with pytest.raises(AssertionError, match="every item of the list is imported: 6 items failed, the first is"):
        check_conformance(
            Books(),
            CannedTransport(lambda request: answer(request) if request.url.path == "/books" else httpx.Response(422)),
            tmp_path,
            show=lines.append,
        )
    assert len(lines) == 1


class Shelf(ImportableMixin, Base):
    __tablename__ = "shelves_to_conform"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str | None] = mapped_column(String(50))

    def populate(self, detail):
        self.title = detail["title"]


class Shelves(Books):
    """Reads the details in batches."""

    model, details_per_request = Shelf, 3

    def stub(self, item):
        return Shelf(external_id=str(item["id"]))

    def details_request(self, rows):
        return httpx.Request("POST", "/shelves/read", json=[row.external_id for row in rows])

    def details(self, response):
        return [(each["id"], each) for each in response.json()]


def answer_batch(request):
    if request.url.path == "/books":
        return answer(request)
    return [{"id": each, "title": f"title of {each}"} for each in json.loads(request.content)]


def test_a_good_source_with_batches_keeps_every_property(tmp_path):
    found = check_conformance(Shelves(), CannedTransport(answer_batch), tmp_path, show=lambda line: None)
    assert [each.problem for each in found] == [None] * 14


def test_details_that_are_given_by_their_place_are_found(tmp_path):
    source = Shelves()
    source.details = lambda response: [(str(n), each) for n, each in enumerate(response.json(), start=1)]
    assert "every item of the list is imported" in broken(source, tmp_path, answer_batch)


def test_details_that_are_made_up_for_missing_items_are_found(tmp_path):
    source = Shelves()
    source.details = lambda response: [(str(n), {"title": f"title of {n}"}) for n in range(1, 7)]
    assert "a broken detail fails its item alone" in broken(source, tmp_path, answer_batch)


SHELF = {"1": ["1-a", "1-b", "1-c"], "2": [], "3": ["3-a"], "4": ["4-a", "4-b", "4-c", "4-d", "4-e"]}


class Chapter(ImportableMixin, Base):
    __tablename__ = "chapters_to_conform"
    id: Mapped[int] = mapped_column(primary_key=True)
    book: Mapped[str] = mapped_column(String(50))


class Chapters(Books):
    """One list per book."""

    name, model, parent = "chapters", Chapter, Books
    list_request = ImportSource.list_request

    def slice_request(self, key):
        return httpx.Request("GET", f"/books/{path_segment(key)}/chapters")

    def stub(self, item, key):
        return Chapter(external_id=str(item["id"]), book=key)


def answer_by_book(request):
    parts = request.url.path.strip("/").split("/")
    if parts[-1] != "chapters":
        return {"books": [{"id": key, "updated": "then"} for key in SHELF], "next": None}
    after = int(request.url.params.get("after", 0))
    found = SHELF[parts[1]]
    chapters = [{"id": each, "updated": "then"} for each in found[after : after + 2]]
    return {"books": chapters, "next": str(after + 2) if after + 2 < len(found) else None}


def test_a_source_with_slices_keeps_every_property(tmp_path):
    lines = []
    found = check_conformance(Chapters(), CannedTransport(answer_by_book), tmp_path, show=lines.append)
    names = {each.name for each in found}
    assert {
        "a slice whose list is refused fails alone",
        "a key with odd characters stays in its place in the address",
    } <= names
    assert all(line.startswith("ok") for line in lines)


def test_a_key_that_is_not_quoted_is_found(tmp_path):
    class Unquoted(Chapters):
        def slice_request(self, key):
            return httpx.Request("GET", f"/books/{key}/chapters")

    assert broken(Unquoted(), tmp_path, answer_by_book) == [
        "a key with odd characters stays in its place in the address"
    ]


PAGES = "an import without changes reads only the end of the list"


class ChangingBooks(Books):
    """Reads what changed since a day."""

    incremental = Incremental()

    def changes_request(self, since):
        return httpx.Request("GET", "/books", params={"since": since})

    def position(self, item):
        return f"2020-01-0{item['id']}T00:00:00Z"


def changes(request):
    if "since" not in request.url.params:
        return answer(request)
    return {"books": [{"id": 6, "updated": "then"}], "next": None}


def test_a_good_incremental_source_keeps_every_property(tmp_path):
    found = check_conformance(ChangingBooks(), CannedTransport(changes), tmp_path, show=lambda line: None)
    assert [each.problem for each in found] == [None] * 14


class CountedBooks(ChangingBooks):
    """Its positions are numbers: the import lists the pages after the first once more."""

    pages, order = PageNumber(more="more"), "oldest_first"

    def position(self, item):
        return str(item["id"])


def counted(request):
    if request.url.path != "/books":
        return answer(request)
    first = int(request.url.params.get("since", 1)) + 2 * int(request.url.params["page"]) - 2
    return {"books": [{"id": each, "updated": "then"} for each in range(first, 10)[:2]], "more": first < 8}


def test_counted_pages_may_come_again_once(tmp_path):
    trial = Trial(CountedBooks(), CannedTransport(counted), tmp_path, {})
    assert {name: check() for name, check in incremental_checks(trial)}[PAGES] is None


def test_a_request_that_forgets_the_position_is_found(tmp_path):
    assert broken(ChangingBooks(), tmp_path) == [PAGES]


def test_a_source_that_leaves_no_bookmark_is_found(tmp_path):
    source = ChangingBooks()
    source.position = lambda item: None
    assert broken(source, tmp_path, changes) == [PAGES]
