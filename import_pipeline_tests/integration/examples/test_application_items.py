"""The example of a downstream asset on both databases: all rows, or those of a selection."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from import_pipeline.examples.application_items import Item, after_items, carry_over
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.rules.status import Trigger
from import_pipeline.sources.items import ImportedItem, ItemsSource
from import_pipeline.tracking import imports
from import_pipeline.tracking.completions import completed_since, items_of
from import_pipeline.tracking.user_rows.row_writing import upsert
from import_pipeline.tracking.user_rows.user_tables import ensure_table
from import_pipeline_tests.support.lifecycle import FAILED, TEN, SimulatedInstallation, tracking_database
from import_pipeline_tests.support.second_source import Books


@pytest.fixture
def simulation(database_url):
    with tracking_database(database_url) as database:
        ensure_table(database, Item)
        yield SimulatedInstallation(database)


def imported(simulation, external_id, **values):
    simulation.call(upsert, ImportedItem, [ImportedItem(external_id=external_id, **values)])


def application_rows(simulation):
    columns = (Item.external_id, Item.title, Item.text, Item.price_cents)
    with simulation.database.read() as connection:
        return sorted(tuple(row) for row in connection.execute(select(*columns)))


def test_all_or_chosen_items_are_carried_over_and_carried_over_again(simulation):
    imported(simulation, "1", name="lamp", description="a lamp", price=Decimal("12.90"))
    imported(simulation, "2", name="vase", price=Decimal("0.29"))
    imported(simulation, "3", name="a stub")
    assert simulation.call(carry_over, None) == 2
    assert application_rows(simulation) == [("1", "lamp", "a lamp", 1290), ("2", "vase", "", 29)]
    for each in ("1", "2", "3"):
        imported(simulation, each, name="new", price=Decimal("1.00"))
    assert simulation.call(carry_over, ["2", "3", "4"]) == 2
    assert application_rows(simulation) == [("1", "lamp", "a lamp", 1290), ("2", "new", "", 100), ("3", "new", "", 100)]
    assert simulation.call(carry_over, []) == 0


def test_completed_imports_return_their_items_and_others_do_not_count(simulation):
    whole = simulation.begin(simulation.slot(TEN))
    whole.discover("1", "2", "3")
    whole.succeed(whole.claim(2))
    whole.fail(whole.claim())
    whole.complete()
    simulation.advance(minutes=1)
    new = new_import(simulation.source, Trigger.RETRY, retry_of=whole.row.id, scheduled_at=simulation.now)
    chosen = simulation.begin(simulation.call(imports.create, new, simulation.now).id)
    chosen.select()
    chosen.succeed(chosen.claim())
    chosen.complete()
    simulation.advance(minutes=1)
    broken = simulation.begin(simulation.slot(TEN + timedelta(hours=3)))
    broken.end(FAILED)
    with simulation.database.read() as connection:
        found = completed_since(connection, "items", TEN)
        assert [(one.import_id, one.is_selection) for one in found] == [(whole.row.id, False), (chosen.row.id, True)]
        assert completed_since(connection, "items", TEN + timedelta(minutes=2)) == []
        assert items_of(connection, [chosen.row.id]) == ["3"]
        assert items_of(connection, [whole.row.id, chosen.row.id]) is None
        assert items_of(connection, []) is None


def test_the_example_is_there_only_beside_its_source():
    assert [sensor.name for sensor in after_items([ItemsSource()]).sensors or []] == ["items_downstream_sensor"]
    assert after_items([Books()]).assets in (None, [])
