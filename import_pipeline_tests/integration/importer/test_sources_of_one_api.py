"""Two sources of one API, imported at the same time: they share its limits, its token and its refresh token."""

from concurrent.futures import ThreadPoolExecutor

import httpx
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import ImportableMixin, run_import
from import_pipeline.examples.shapes.oauth import QUERY, Accounts
from import_pipeline.settings import load_settings
from import_pipeline_tests.support.imports import served
from source_api.shapes import ShapeOptions
from source_api.shapes.oauth import CLIENT_ID, CLIENT_SECRET, FIRST_REFRESH_TOKEN, OauthShape

#: The requests of both sources together need more than a second.
PAGES, PER_SECOND, SIZE = 12, 20, 5


class Base(DeclarativeBase): ...


class Lead(ImportableMixin, Base):
    """The same records in another table."""

    __tablename__ = "leads"
    id: Mapped[int] = mapped_column(primary_key=True)


class Leads(Accounts):
    """Another collection of the same API."""

    name, model, api = "leads", Lead, "accounts"

    def changes_request(self, since):
        return httpx.Request("GET", "/query", params={"q": f"{QUERY}{since}"})

    def stub(self, item):
        return Lead(external_id=item["Id"])


def settings_of(home, url, name):
    values = {
        "BASE_URL": url,
        "LIMITS": f"{PER_SECOND}/1 second",
        "PER_PAGE": str(SIZE),
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": CLIENT_SECRET,
        "REFRESH_TOKEN": FIRST_REFRESH_TOKEN,
    }
    own = {f"{name}_{key}": value for key, value in values.items()}
    return load_settings({"IMPORT_PIPELINE_HOME": str(home), **own}, home.parent)


def test_two_sources_of_one_api_share_its_limits_and_its_token(home):
    """The server accepts each refresh token once, and counts every request over its limits."""
    options = ShapeOptions(items=PAGES * SIZE, page=SIZE, limits=f"{PER_SECOND}/1 second")
    shape = OauthShape(options)
    with served(shape.app) as url, ThreadPoolExecutor(2) as threads:
        runs = [
            threads.submit(run_import, each.name, settings=settings_of(home, url, each.name.upper()), sources=[each])
            for each in (Accounts(), Leads())
        ]
        summaries = [run.result(120) for run in runs]
    assert [(each.status, each.items_count) for each in summaries] == [("completed", PAGES * SIZE)] * 2
    assert [each.rate_limit_hits_count for each in summaries] == [0, 0]
    assert (shape.counters.refusals, shape.counters.kinds["list"]) == ([], 2 * PAGES)
    assert shape.counters.kinds["token"] == 1
