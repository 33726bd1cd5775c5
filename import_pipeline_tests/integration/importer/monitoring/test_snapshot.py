"""`show` reads one snapshot of the database, with a few statements."""

import json
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from sqlalchemy import event

from import_pipeline.cli import commands
from import_pipeline.importer.limiter_usage import UsageReader
from import_pipeline.importer.monitoring import queries as monitoring
from import_pipeline.tracking import events, shards
from import_pipeline_tests.support.lifecycle import ADA, BOB

#: The row, its shards, its wait, progress since the latest resume, failures in two scans, events.
MOST_STATEMENTS = 7


@contextmanager
def executed(database, after_each=lambda statement: None):
    """Collect the reads of tables that are executed within."""
    found = []

    def collect(connection, cursor, statement, *_):
        if "\nFROM " in statement:
            found.append(statement)
            after_each(statement)

    event.listen(database.engine, "after_cursor_execute", collect)
    yield found
    event.remove(database.engine, "after_cursor_execute", collect)


@pytest.fixture
def show(simulation, monkeypatch):
    """Run `show ID --json` on the simulated installation, and return what it printed."""

    @contextmanager
    def opened():
        yield simulation.installation

    monkeypatch.setattr(commands, "open_installation", opened)

    def show(import_id):
        result = CliRunner().invoke(commands.show, [str(import_id), "--json"], catch_exceptions=False)
        return json.loads(result.output)

    return show


def stalled(simulation):
    """Return a stalled import that was resumed once, with a shard."""
    hand = simulation.begin(simulation.slot(simulation.now), ADA)
    hand.discover("1", "2")
    simulation.advance(seconds=60)
    hand = simulation.begin(hand.row.id, BOB)
    with simulation.database.write() as connection:
        shards.acquire(connection, hand.row.id, 2, ADA, simulation.now, None)
    simulation.advance(seconds=60)
    return hand


def test_show_reads_few_statements_in_one_transaction(simulation, show):
    hand = stalled(simulation)
    transactions = []
    count = transactions.append
    event.listen(simulation.database.engine, "begin", count)
    with executed(simulation.database) as statements:
        assert show(hand.row.id)["has_no_worker"]
    event.remove(simulation.database.engine, "begin", count)
    assert len(transactions) == 1
    assert len(statements) <= MOST_STATEMENTS, statements
    assert len([each for each in statements if "\nFROM imports" in each]) == 1, "the import's row is read once"


def test_show_does_not_see_a_change_between_two_of_its_statements(simulation, show):
    hand = stalled(simulation)
    before = show(hand.row.id)
    changed = []

    def change(statement):
        if "FROM imports" in statement and not changed:
            changed.append(statement)
            with simulation.database.write() as connection:
                shards.acquire(connection, hand.row.id, 3, ADA, simulation.now, None)
                events.note(connection, hand.row.id, simulation.now, "shard_started", "Shard 3 began.")

    with executed(simulation.database, change):
        assert show(hand.row.id) == before
    assert changed
    after = show(hand.row.id)
    assert [shard["number"] for shard in after["shards"]] == [2, 3]
    assert after["events"][-1]["message"] == "Shard 3 began."


@pytest.mark.parametrize("read", [monitoring.import_details, monitoring.import_progress])
def test_the_panel_reads_the_row_and_the_shards_once(simulation, read):
    hand = stalled(simulation)
    reader = UsageReader(settings=simulation.installation.settings, clock=simulation.clock)
    with executed(simulation.database) as statements:
        read(simulation.installation, hand.row.id, reader)
    for table in ("imports \nWHERE imports.id =", "import_shards"):
        assert len([each for each in statements if f"\nFROM {table}" in each]) == 1, (table, statements)


def test_an_ended_import_of_a_list_costs_no_statement(simulation):
    hand = simulation.begin(simulation.slot(simulation.now), ADA)
    hand.discover()
    hand.complete()
    with simulation.database.read() as connection, executed(simulation.database) as statements:
        monitoring.view_in(connection, simulation.installation, simulation.get(hand.row.id), simulation.now)
    assert len(statements) == 1, "only the row itself"
