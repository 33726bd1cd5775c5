"""Pages of a list: the outcome of each item that is found, known, whole or chosen by hand."""

from dataclasses import replace

import pytest
from sqlalchemy import delete, select

from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking import claims, transitions
from import_pipeline.tracking.lists import list_pages
from import_pipeline.tracking.lists.list_pages import Page
from import_pipeline.tracking.tables import import_item_statuses
from import_pipeline.tracking.user_rows.row_rescue import store_apart
from import_pipeline.tracking.user_rows.row_writing import RowsRefused
from import_pipeline_tests.support.tracking_rows import (
    NOON,
    Thing,
    begun,
    claim,
    counted,
    current,
    details,
    discover,
    do,
    failures,
    ids,
    statuses,
    stub,
    table,
    whole,
)


def test_an_item_whose_version_is_known_is_unchanged_while_its_row_exists(database):
    def one_import(*found):
        row, lease = begun(database)
        discover(database, row, lease, *found)
        taken = claim(database, lease)
        do(database, claims.complete, row, lease, Thing, details(taken), NOON)
        said, counts = counted(database, row)
        assert said == counts
        do(database, transitions.end, lease, NOON, ImportStatus.COMPLETED)
        return ids(taken), said

    a, b, c = (replace(stub(external_id), version="1") for external_id in "abc")
    assert one_import(a, b, stub("x")) == (["a", "b", "x"], (3, 0, 0))
    assert one_import(a, replace(b, version="2"), c, stub("x")) == (["b", "c", "x"], (3, 1, 0))
    assert one_import(a, replace(b, version="2"), c) == ([], (0, 3, 0))
    do(database, lambda connection: connection.execute(delete(Thing).where(Thing.external_id == "a")))
    assert one_import(a, replace(b, version="2"), c) == (["a"], (1, 2, 0))


def test_an_item_that_failed_is_not_unchanged_the_next_time(database):
    row, lease = begun(database)
    a = replace(stub("a"), version="1")
    discover(database, row, lease, a)
    do(database, claims.fail, lease, failures(claim(database, lease)), NOON)
    do(database, transitions.end, lease, NOON, ImportStatus.COMPLETED)
    row, lease = begun(database)
    discover(database, row, lease, a)
    assert ids(claim(database, lease)) == ["a"]


def test_an_item_that_is_whole_in_the_list_is_done_with_its_page(database):
    row, lease = begun(database)
    discover(database, row, lease, whole("a", note="all"), stub("b"))
    assert statuses(database, row) == {"a": ("completed", None), "b": ("pending", None)}
    assert counted(database, row) == ((1, 0, 0), (1, 0, 0))
    assert table(database)[0] == {"external_id": "a", "name": "a", "note": "all", "amount": None, "changes": 0}


def test_a_stub_that_comes_again_keeps_the_details_and_honours_onupdate(database):
    row, lease = begun(database)
    discover(database, row, lease, stub("a"))
    do(database, claims.complete, row, lease, Thing, details(claim(database, lease), note="kept", amount=3), NOON)
    discover(database, row, lease, stub("a", name="again"))
    assert table(database) == [{"external_id": "a", "name": "again", "note": "kept", "amount": 3, "changes": 7}]


@pytest.mark.parametrize("bad", [{"name": None}, {"note": "\ud800"}], ids=["NOT NULL", "half a character"])
def test_a_stub_that_the_table_refuses_fails_alone(database, bad):
    row, lease = begun(database)
    found = [stub("a"), stub("bad", **bad), stub("c")]
    with pytest.raises(RowsRefused):
        discover(database, row, lease, *found)
    assert (statuses(database, row), table(database)) == ({}, [])
    apart = store_apart(Thing, found, lambda some, _: do(database, list_pages.store_stubs, lease, Thing, some, {}))
    refused = {item.external_id: refusal.reason for item, refusal in apart.refused}
    page = Page(items=found, checkpoint={"page": 1})
    do(
        database,
        list_pages.store_page,
        row,
        lease,
        Thing,
        page,
        NOON,
        apart=list_pages.Apart(refused=refused, known={}),
    )
    assert counted(database, row) == ((0, 0, 1), (0, 0, 1))
    assert {external_id: status for external_id, (status, _) in statuses(database, row).items()} == {
        "a": "pending",
        "bad": "failed",
        "c": "pending",
    }
    assert [thing["external_id"] for thing in table(database)] == ["a", "c"]


def test_a_selection_takes_each_chosen_item_once(database):
    row, lease = begun(database)
    do(database, list_pages.select_items, row, lease, ["b", "a", "b"], NOON)
    assert statuses(database, row) == {"a": ("pending", None), "b": ("pending", None)}
    assert (current(database, row).items_count, current(database, row).checkpoint) == (2, {"complete": True})
    taken = claim(database, lease)
    assert [each.linked for each in taken] == [False, False]
    do(database, claims.complete, row, lease, Thing, details(taken), NOON)
    columns = import_item_statuses.c
    with database.read() as connection:
        keys = dict(connection.execute(select(columns.external_id, columns.importable_id)).all())
        rows = connection.execute(select(Thing.external_id, Thing.id)).all()
    assert keys == {external_id: str(key) for external_id, key in rows}
