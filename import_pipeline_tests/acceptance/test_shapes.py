"""Each of the eight shapes is imported by its example: in full, with no refusal, then its changes."""

from dataclasses import replace
from itertools import product

import dagster as dg
import pytest
from sqlalchemy import text

from import_pipeline import run_import
from import_pipeline.defs.build import build_import_definitions
from import_pipeline.tracking.database.engine import Database
from import_pipeline_tests.support.shapes import CASES

DRIVERS = ("command line", "dagster", "this process")
KINDS = ("sqlite", "postgres")


def combinations():
    """Yield each case with each driver and kind of database.

    The day imports each case once in this process, the first ones also by a command and by a job of Dagster: what
    these add does not depend on the shape. Each of the two kinds has half of the cases.
    """
    for place, case in enumerate(CASES):
        for driver, kind in product(DRIVERS, KINDS):
            of_the_day = driver == "this process" or place == DRIVERS.index(driver)
            marks = () if of_the_day and kind == KINDS[place % 2] else (pytest.mark.nightly,)
            yield pytest.param(case, driver, kind, marks=marks, id=f"{case}-{driver}-{kind}")


class Importer:
    """Imports a case's source by one driver into one database, and reads its rows."""

    def __init__(self, case, driver, database, command):
        self.case, self.driver, self.database, self.command = case, driver, database, command

    def run(self, source=None, *, full=False):
        """Import; fail unless the import completes as a whole."""
        source = source or self.case.source
        if self.case.before is not None and source == self.case.source:
            self.run(self.case.before, full=full)
        if self.driver == "command line":
            summary = self.command.run("run", source, "--json", *["--full"][: int(full)]).json
            assert (summary["status"], summary["items_failed_count"]) == ("completed", 0)
            return
        if self.driver == "this process":
            imported = run_import(source, full=full)
            assert (imported.status, imported.items_failed_count) == ("completed", 0)
            return
        [found] = [each for each in self.case.sources if each.name == source]
        with dg.DagsterInstance.ephemeral() as instance:
            job = build_import_definitions(found).resolve_job_def(f"import_{source}")
            config = {"ops": {f"discover_and_enrich_{source}": {"config": {"full": full}}}}
            assert job.execute_in_process(instance=instance, run_config=config).success

    def rows(self, source=None):
        """Return the rows of items that are not gone, by their external ids."""
        columns = ", ".join(f"t.{each}" for each in ("external_id", *self.case.columns))
        [found] = [each for each in self.case.sources if each.name == (source or self.case.source)]
        statement = (
            f"SELECT {columns} FROM {found.model.__tablename__} t JOIN source_items s ON s.external_id = t.external_id "
            f"WHERE s.source = '{found.name}' AND s.gone_at IS NULL"
        )
        database = Database(self.database)
        try:
            with database.read() as connection:
                return {row[0]: tuple(row) for row in connection.execute(text(statement))}
        finally:
            database.close()


@pytest.fixture
def importer(request, tmp_path, command, monkeypatch):
    """Return an importer of a case: `importer(case, "dagster", "postgres", environment)`."""

    def make(case, driver, kind, environment):
        url = f"sqlite:///{tmp_path / 'tracking.db'}" if kind == "sqlite" else request.getfixturevalue("postgres_url")
        command.environment = {**environment, "DATABASE_URL": url}
        for name, value in command.environment.items():
            monkeypatch.setenv(name, value)
        return Importer(case, driver, url, command)

    return make


@pytest.mark.parametrize(("case", "driver", "kind"), list(combinations()))
def test_a_shape_is_imported_in_full_and_then_its_changes(case, driver, kind, importer):
    with case.served() as (shape, environment):
        imports = importer(case, driver, kind, environment)
        imports.run()
        assert (shape.counters.refusals, imports.rows()) == ([], case.expected(shape))

        lists = shape.counters.kinds["list"]
        imports.run()
        assert (shape.counters.refusals, imports.rows()) == ([], case.expected(shape))
        if case.unchanged_lists is not None:
            assert shape.counters.kinds["list"] - lists <= case.unchanged_lists

        unnoticed = [] if case.deletes_arrive else list(case.rows_of(shape.records.get(7)))
        shape.change(update=[3, 4, 50], delete=[7], add=2)
        imports.run()
        if case.unchanged_lists is not None:
            assert imports.rows().keys() - case.expected(shape).keys() <= set(unnoticed)
            imports.run(full=True)
        assert (shape.counters.refusals, imports.rows()) == ([], case.expected(shape))


#: Numbers of records that take at most a minute under the shapes' own limits.
LARGER = {"orders": 1500, "tickets": 5000, "contacts": 2000, "accounts": 9000, "issues": 600}


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_larger_shape_is_imported_within_its_own_limits(case, importer):
    """The sources' limits are those that they declare."""
    size = 1000 if case.source == "tickets" else 100
    larger = replace(case, limits="", limits_of_source="", per_page=size)
    with larger.served(items=LARGER.get(case.source, 400), token_seconds=3) as (shape, environment):
        declared = {name: value for name, value in environment.items() if not name.endswith("_LIMITS")}
        imports = importer(larger, "command line", "sqlite", declared)
        for _ in range(2):
            imports.run()
            assert (shape.counters.refusals, imports.rows()) == ([], larger.expected(shape))
