"""The items and their database."""

import re
import sqlite3
from itertools import islice

import pytest

from source_api.errors import BadOption
from source_api.items import ItemStore, seeded


def test_the_same_seed_gives_the_same_items_however_many_there_are():
    few, many = list(islice(seeded(1), 10)), list(islice(seeded(1), 1000))
    assert few == many[:10]
    assert list(islice(seeded(2), 10)) != few
    assert [row[0] for row in many] == list(range(1, 1001))


def test_every_item_is_well_formed():
    time = re.compile(r"202[456]-\d\d-\d\dT\d\d:\d\d:\d\dZ")
    for number, name, description, price, created_at, updated_at in islice(seeded(5), 500):
        assert name.endswith(f" {number}")
        assert description.startswith(name)
        assert re.fullmatch(r"[1-9]\d*\.\d\d", price)
        assert time.fullmatch(created_at)
        assert time.fullmatch(updated_at)
        assert created_at <= updated_at


def test_items_are_read_one_by_one_in_whole_and_page_by_page_in_short():
    store = ItemStore(None, count=32, seed=1)
    row = next(islice(seeded(1), 30, None))
    keys = ("id", "name", "description", "price", "created_at", "updated_at")
    assert store.total == 32
    assert store.item(31) == dict(zip(keys, row, strict=True))
    assert store.item(33) is store.item(2**64) is None
    assert [item["id"] for item in store.short_items(skip=30, limit=15)] == [31, 32]
    assert store.short_items(skip=30, limit=1) == [{"id": 31, "name": row[1], "updated_at": row[5]}]
    assert store.short_items(skip=32, limit=15) == store.short_items(skip=10**17, limit=15) == []
    store.close()


def test_no_items_at_all_are_an_empty_list():
    store = ItemStore(None, count=0, seed=1)
    assert (store.total, store.item(1), store.short_items(skip=0, limit=15)) == (0, None, [])
    store.close()


def test_rows_of_a_file_are_kept_and_changes_by_others_are_seen_at_once(tmp_path):
    file = tmp_path / "items.sqlite"
    ItemStore(file, count=20, seed=1).close()
    store = ItemStore(file, count=400, seed=2)
    assert store.total == 20
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("UPDATE api_items SET price = '1.00' WHERE id = 3")
    other.execute("DELETE FROM api_items WHERE id = 5")
    assert store.item(3)["price"] == "1.00"
    assert store.total == 19
    assert [item["id"] for item in store.short_items(skip=3, limit=3)] == [4, 6, 7]
    other.close()
    store.close()


@pytest.mark.parametrize("name", ["no/such/folder/items.sqlite", "text"])
def test_a_file_that_is_no_database_is_refused_in_a_sentence(tmp_path, name):
    (tmp_path / "text").write_text("not a database, " * 100)
    with pytest.raises(BadOption, match=r"--database: expected a file that SQLite can use, got '.*"):
        ItemStore(tmp_path / name, count=1, seed=1)
