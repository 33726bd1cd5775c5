"""The package as users install it: from a wheel, without the checkout, with a source in their own file."""

import shutil
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from import_pipeline_tests.acceptance.command_line import CommandLine, rows, tracking, words
from import_pipeline_tests.support.forked_cli import serve

ROOT = Path(__file__).parents[2]
OWN_SOURCE = '''
"""A user's own source, in one file."""

import httpx
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import ImportableMixin, ImportSource


class Base(DeclarativeBase):
    pass


class Book(ImportableMixin, Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str | None]

    def detail_request(self):
        return httpx.Request("GET", f"/api/items/{self.external_id}")

    def populate(self, detail):
        self.title = detail["name"]


class Books(ImportSource):
    name = "books"
    model = Book

    def list_request(self, page, per_page):
        return httpx.Request("GET", "/api/items", params={"page": page, "perPage": per_page})

    def items(self, list_response):
        return list_response.json()["data"]

    def has_next_page(self, list_response):
        return list_response.json()["next_page_url"] is not None

    def stub(self, item):
        return Book(external_id=str(item["id"]))


SOURCES = [Books()]
'''


@pytest.fixture
def users(installed: Path, folder: Path, home: Path):
    """The installed console script, in a folder with a user's own source."""
    script = next(path for path in (installed / "bin" / "import-pipeline",) if path.is_file())
    line = CommandLine(folder, sys.executable, str(script))
    line.environment = {"PYTHONPATH": str(installed), "IMPORT_PIPELINE_SOURCES": "my_sources:SOURCES"}
    (folder / "my_sources.py").write_text(OWN_SOURCE)
    yield line
    line.end_all()


def test_the_wheel_holds_everything_that_is_not_python(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert names >= {
        "import_pipeline/py.typed",
        "import_pipeline/ratelimit/stores/lua/10_state.lua",
        "import_pipeline/defs/dagster.yaml",
        "import_pipeline/tracking/migrations/env.py",
        "source_api/app.py",
    }
    versions = [name for name in names if name.startswith("import_pipeline/tracking/migrations/versions/0")]
    assert versions, "the migrations are missing"
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"import_pipeline", "source_api"}


def test_a_users_own_source_is_imported_without_the_checkout(users, installed, folder, home):
    assert "Copy every record of a rate-limited API into your database" in words(users.run("--help").out)
    where = "import import_pipeline, source_api; print(import_pipeline.__file__, source_api.__file__)"
    found = CommandLine(folder, sys.executable, "-c", where).run(PYTHONPATH=str(installed)).out.split()
    assert [Path(path).parents[1] for path in found] == [installed, installed]
    module = CommandLine(folder, sys.executable, "-m", "import_pipeline")
    assert "Commands:" in module.run("--help", PYTHONPATH=str(installed)).out
    with serve("--items", "6", "--limits", "none") as url:
        users.environment |= {"BOOKS_BASE_URL": url, "BOOKS_LIMITS": "100/1 second"}
        assert f"source books: answers at {url}, " in users.run("doctor").out
        summary = users.run("run", "books", "--json").json
    assert (summary["source"], summary["status"], summary["items_imported_count"]) == ("books", "completed", 6)
    assert rows(tracking(home), "SELECT count(title) AS titles FROM books") == [{"titles": 6}]
    assert {path.name for path in folder.iterdir()} <= {"my_sources.py", "__pycache__"}
    assert (home / "dagster" / "dagster.yaml").is_file()
    shutil.rmtree(home)


def test_the_package_offers_its_users_no_extras_of_its_developers(wheel):
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        offered = Parser().parsestr(archive.read(name).decode())
    assert offered.get_all("Provides-Extra") == ["celery", "k8s"]
    assert offered.get_payload() == (ROOT / "PACKAGE.md").read_text()
