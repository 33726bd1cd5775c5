"""`migrate --add-columns` as a user runs it: the refusal names it, it shows, asks, adds, and leaves the rest."""

import pytest

from import_pipeline_tests.acceptance.command_line import rows, some_details, tracking, words
from import_pipeline_tests.acceptance.slow_api import ITEMS, PACE, slow_api
from import_pipeline_tests.support.imports import demo_api

SOURCE = """
from sqlalchemy import Integer, Numeric, String
from sqlalchemy.orm import DeclarativeBase, mapped_column

from import_pipeline import ImportableMixin, path_segment
from import_pipeline.sources.items import ItemsSource
import httpx


class Base(DeclarativeBase):
    pass


class Thing(ImportableMixin, Base):
    __tablename__ = "things"
    id = mapped_column(Integer, primary_key=True)
    name = mapped_column(String(255))
{columns}

    def detail_request(self):
        return httpx.Request("GET", f"/api/items/{{path_segment(self.external_id)}}")

    def populate(self, detail):
        self.name = detail["name"]
        {populate}


class Things(ItemsSource):
    name = "things"
    model = Thing
    revision = {revision}

    def stub(self, item):
        return Thing(external_id=str(item["id"]))


SOURCES = [Things()]
"""
PRICE = "    price = mapped_column(Numeric(12, 2), index=True)"


@pytest.fixture
def write(folder, command):
    """Write the file of the source, with these columns."""
    command.environment = {"IMPORT_PIPELINE_SOURCES": "shop:SOURCES"}

    def write(columns="", populate="pass", revision=1):
        (folder / "shop.py").write_text(SOURCE.format(columns=columns, populate=populate, revision=revision))

    return write


def test_a_column_that_the_model_got_is_added_on_confirmation(write, command, home):
    write()
    command.run("migrate")
    write(PRICE)
    refused = command.run("plan", "things", status=2)
    assert refused.sentence == (
        "Thing: the table things has no column price. `import-pipeline migrate --add-columns` shows the statements "
        "that add what can be added, and runs them. Or give the class another __tablename__"
    )
    statements = (
        "ALTER TABLE things ADD COLUMN price NUMERIC(12, 2);\nCREATE INDEX ix_things_price ON things (price);\n"
    )
    asked = command.run("migrate", "--add-columns", status=2)
    assert asked.out == statements
    assert asked.sentence == (
        f"Execute these 2 statements in {tracking(home)}? No terminal is attached: confirm with --yes"
    )
    added = command.run("migrate", "--add-columns", "--yes")
    assert added.out.startswith(statements + "Executed 2 statements. ")
    assert "`import-pipeline run SOURCE --refetch`" in added.out
    again = command.run("migrate", "--add-columns", "--json").json
    assert (again["added"], again["refused"]) == ([], [])
    assert again["message"].startswith("Nothing was added. All tables in ")


def test_what_is_not_added_comes_with_its_statement_and_its_own_exit_status(write, command):
    write("    old = mapped_column(String(9))")
    command.run("migrate")
    write("    price = mapped_column(Numeric(12, 2), nullable=False)\n    more = mapped_column(String(9))")
    done = command.run("migrate", "--add-columns", "--yes", "--json", status=3)
    assert done.json["added"] == ["ALTER TABLE things ADD COLUMN more VARCHAR(9)"]
    assert [each["reason"].partition(":")[0] for each in done.json["refused"]] == [
        "the column things.price is absent, and existing rows have no value for it",
        "the model has no column things.old",
    ]
    assert [each["statements"] for each in done.json["refused"]] == [
        ["ALTER TABLE things ADD COLUMN price NUMERIC(12, 2) DEFAULT <a value for existing rows> NOT NULL"],
        ["ALTER TABLE things DROP COLUMN old"],
    ]
    left = command.run("migrate", "--add-columns", "--yes", status=3)
    assert "ALTER TABLE things DROP COLUMN old;" in left.err
    assert "Tables of sources do not fit their models yet." in words(left.out)
    write("    more = mapped_column(String(9))")
    kept = command.run("migrate", "--add-columns", "--yes")
    assert "the model has no column things.old" in kept.err


@pytest.mark.parametrize(("revision", "options"), [(1, ["--refetch"]), (2, [])])
def test_a_new_column_is_filled_for_unchanged_items(write, command, home, revision, options):
    with demo_api(items=5) as url:
        command.environment |= {"THINGS_BASE_URL": url, "THINGS_LIMITS": "none"}
        write()
        command.run("run", "things")
        write(PRICE, "self.price = detail['price']", revision)
        command.run("migrate", "--add-columns", "--yes")
        done = command.run("run", "things", *options, "--json").json
        assert (done["items_imported_count"], done["items_unchanged_count"]) == (5, 0)
        assert len(rows(tracking(home), "SELECT * FROM things WHERE price IS NOT NULL")) == 5
        assert command.run("run", "things", "--json").json["items_unchanged_count"] == 5


def test_both_options_at_once_are_refused(command):
    refused = command.run("migrate", "--add-columns", "--to", "base", status=2)
    assert "--add-columns cannot be given together with --to" in refused.err


def test_a_running_import_is_not_disturbed(write, command, home):
    with slow_api() as url:
        command.environment |= {"THINGS_BASE_URL": url, "THINGS_LIMITS": PACE}
        write()
        running = command.start("run", "things", "--json")
        some_details(url, 1)
        write(PRICE)
        command.run("migrate", "--add-columns", "--yes")
        assert running.is_running
        assert running.end().json["items_imported_count"] == ITEMS
    assert len(rows(tracking(home), "SELECT price FROM things")) == ITEMS
