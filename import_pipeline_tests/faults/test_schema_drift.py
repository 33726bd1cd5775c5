"""The API's fields and the user's table change: only items that no longer fit fail, each with its reason."""

from contextlib import closing

import pytest
from sqlalchemy import text

from import_pipeline import run_import
from import_pipeline.errors import SchemaError
from import_pipeline.sources.items import ItemsSource
from import_pipeline.testing import CannedTransport
from import_pipeline.tracking.database.engine import Database
from import_pipeline_tests.support.imports import (
    counts,
    demo_api,
    import_through,
    latest,
    reasons,
    reasons_without_place,
    rows,
    settings,
)

URL = "https://api.test"
GOOD = {"name": "n", "description": "d", "price": "1.00", "created_at": "2029-01-01T00:00:00Z"}
REFUSES = "ImportedItem.populate raises "
#: item -> (its changed detail, the reason of its failure; None: it is imported)
DRIFTS = {
    "1": ({"name": "n", "description": "d"}, f"{REFUSES}KeyError: 'price'; it has name, description"),
    "2": (GOOD | {"price": "on request"}, f"{REFUSES}InvalidOperation: [<class 'decimal.ConversionSyntax'>]"),
    "3": (GOOD | {"price": None}, f"{REFUSES}InvalidOperation: [<class 'decimal.ConversionSyntax'>]"),
    "4": (GOOD | {"price": {"amount": 1}}, f"{REFUSES}InvalidOperation: [<class 'decimal.ConversionSyntax'>]"),
    "5": (GOOD | {"created_at": 1893456000}, f"{REFUSES}TypeError: fromisoformat: argument must be str"),
    "6": (GOOD | {"created_at": "next week"}, f"{REFUSES}ValueError: Invalid isoformat string: 'next week'"),
    "7": ([GOOD], "ItemsSource.detail raises ValueError: expected a JSON object, got list"),
    "8": (GOOD | {"new": {"deep": [1]}}, None),
    "9": ({"name": "n", "price": 2}, None),
}


class Shop:
    """Items whose details change from their second to their third response."""

    def __init__(self):
        self.drifts = False

    def __call__(self, request):
        number = request.url.path.rpartition("/")[2]
        if number == "items":
            data = [{"id": each, "name": "n"} for each in DRIFTS]
            return {"current_page": 1, "last_page": 1, "total": len(data), "data": data}
        return DRIFTS[number][0] if self.drifts else GOOD


def test_fields_that_vanish_or_change_their_type_fail_alone_and_stored_values_are_kept(home):
    shop, configured = Shop(), settings(home, URL)

    def take():
        return counts(import_through(CannedTransport(shop), ItemsSource(), configured))

    assert take() == ("completed", 9, 9, 0, 0)
    before = rows(configured)
    shop.drifts = True
    assert take() == ("completed", 9, 2, 0, 7)
    assert reasons_without_place(configured) == {number: reason for number, (_, reason) in DRIFTS.items() if reason}
    after = rows(configured)
    assert [number for number in DRIFTS if after[number] != before[number]] == ["9"]
    shop.drifts = False
    assert take() == ("completed", 9, 9, 0, 0)
    assert rows(configured) == before


def alter(configured, *statements):
    with closing(Database(configured.database_url)) as database, database.write() as connection:
        for statement in statements:
            connection.execute(text(statement))


@pytest.fixture
def imported(home, database_url):
    """Settings after an import of ten items, and the demo API that has them."""
    with demo_api(items=10) as url:
        configured = settings(home, url, DATABASE_URL=database_url)
        assert run_import("items", settings=configured).status == "completed"
        yield configured


def test_a_column_that_the_users_table_gains_is_left_alone(imported):
    alter(imported, "ALTER TABLE imported_items ADD COLUMN note TEXT", "UPDATE imported_items SET note = 'mine'")
    assert counts(run_import("items", settings=imported, only=["1", "2"])) == ("completed", 2, 2, 0, 0)
    with closing(Database(imported.database_url)) as database, database.read() as connection:
        assert set(connection.scalars(text("SELECT note FROM imported_items"))) == {"mine"}


def test_a_lost_column_of_the_users_table_is_reported_before_any_request(imported):
    alter(imported, "ALTER TABLE imported_items DROP COLUMN description")
    with pytest.raises(SchemaError, match="the table imported_items has no column description"):
        run_import("items", settings=imported)
    assert latest(imported).id == 1


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_items_that_meet_a_lost_column_fail_with_the_reason_and_are_fetched_again(home, database_url):
    configured = settings(home, URL, DATABASE_URL=database_url)
    shop = Shop()

    def answer(request):
        if request.url.path.endswith("/5"):
            alter(configured, "ALTER TABLE imported_items DROP COLUMN description")
        return shop(request)

    summary = import_through(CannedTransport(answer), ItemsSource(), configured)
    assert (summary.status, summary.items_count) == ("completed", len(DRIFTS))
    assert summary.items_failed_count >= 1
    assert all("description" in reason for reason in reasons(configured).values())
    alter(configured, "ALTER TABLE imported_items ADD COLUMN description TEXT")
    summary = import_through(CannedTransport(shop), ItemsSource(), configured)
    assert counts(summary) == ("completed", len(DRIFTS), len(DRIFTS), 0, 0)
