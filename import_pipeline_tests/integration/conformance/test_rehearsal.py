"""A rehearsal keeps a refusal's pause, on a clock whose seconds are short."""

import httpx
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import Cursor, ImportableMixin, ImportSource
from import_pipeline.conformance.quick_clock import FASTER
from import_pipeline.testing import rehearse


class Base(DeclarativeBase):
    pass


class Shelf(ImportableMixin, Base):
    __tablename__ = "shelves_to_rehearse"
    id: Mapped[int] = mapped_column(primary_key=True)


class Shelves(ImportSource):
    name, model, pages = "shelves", Shelf, Cursor(next="next", param="after")

    def list_request(self):
        return httpx.Request("GET", "/shelves")

    def items(self, list_response):
        return list_response.json()["data"]

    def stub(self, item):
        return Shelf(external_id=str(item))


def test_a_pause_is_kept_and_takes_less_than_its_seconds(tmp_path):
    answers = [httpx.Response(200, json={"data": [1, 2]}), httpx.Response(429, headers={"Retry-After": "10"})]
    done = rehearse(Shelves(), httpx.MockTransport(lambda _: answers.pop()), tmp_path)
    assert (sorted(done.rows), done.failures, answers) == (["1", "2"], {}, [])
    assert 10 / FASTER <= done.summary.total_sleep_seconds < 10
