"""The ledger: who may write what, and that everything it counts is there."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import MetaData, String, delete, func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline.contracts import ImportableMixin
from import_pipeline.errors import ImportNotFound, InvalidTransition, LeaseLost
from import_pipeline.rules.status import ImportKind, ImportStatus, ItemStatus, Trigger
from import_pipeline.tracking import claims, importables, imports, items, leases, pages, scheduling
from import_pipeline.tracking.claims import Done, Failure
from import_pipeline.tracking.database import Database
from import_pipeline.tracking.imports import NewImport, Pulse
from import_pipeline.tracking.items import FailedItem, Remaining
from import_pipeline.tracking.leases import Lease
from import_pipeline.tracking.pages import Discovered, Page
from import_pipeline.tracking.process import Worker
from import_pipeline.tracking.schema import upgrade
from import_pipeline.tracking.tables import import_item_statuses, source_items, tracking_metadata
from import_pipeline.tracking.tables import imports as imports_table
from import_pipeline.tracking.user_tables import ensure_table

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
LEASE_SECONDS = 60.0
ADA = Worker(id="ada", host="machine", pid=1)
BOB = Worker(id="bob", host="machine", pid=2)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


class Base(DeclarativeBase):
    metadata = MetaData()


class Thing(ImportableMixin, Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(10))
    note: Mapped[str | None] = mapped_column(String(10))
    amount: Mapped[int | None] = mapped_column()
    changes: Mapped[int] = mapped_column(default=0, server_default="0", onupdate=7)


class Numbered(Base):
    __tablename__ = "numbered"
    external_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(10))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def both(request, tmp_path_factory):
    """One database of each kind for all tests here: making its tables takes longer than a test."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'tracking.db'}"
    else:
        url = request.getfixturevalue("postgres_server").create_database()
    database = Database(url)
    upgrade(database)
    ensure_table(database, Thing)
    ensure_table(database, Numbered)
    yield database
    database.close()


@pytest.fixture
def database(both):
    """Emptied."""
    with both.write() as connection:
        for each in (*reversed(tracking_metadata.sorted_tables), Thing.__table__, Numbered.__table__):
            connection.execute(delete(each))
    return both


def do(database, action, *arguments, **options):
    """A ledger function in a transaction of its own."""
    with database.write() as connection:
        return action(connection, *arguments, **options)


def scheduled(database, source="things", **more):
    new = NewImport(source=source, importable_type="things", kind=ImportKind.FULL, trigger=Trigger.CLI, **more)
    return do(database, imports.create, new, NOON)


def begun(database, source="things", worker=ADA):
    """A running import and its worker's lease."""
    row = do(database, imports.start, scheduled(database, source).id, worker, NOON, None)
    return row, lease_of(row, worker)


def lease_of(row, worker):
    return Lease(import_id=row.id, fence=row.fence, worker=worker.id, seconds=LEASE_SECONDS)


def stub(external_id, **values):
    return Discovered(external_id=external_id, importable=Thing(external_id=external_id, **{"name": "a", **values}))


def whole(external_id, **values):
    return replace(stub(external_id, **values), whole=True)


def discover(database, row, lease, *found, total=None, model=Thing):
    page = Page(items=found, checkpoint={"page": 1}, total=total)
    return do(database, pages.store_page, row, lease, model, page, NOON)


def claim(database, lease, limit=100, now=NOON):
    return do(database, claims.claim, lease, limit, now)


def details(taken, **values):
    return [
        Done(claim=each, importable=Thing(external_id=each.external_id, **{"name": "b", **values})) for each in taken
    ]


def failures(taken, reason="boom", next_attempt_at=None):
    return [Failure(claim=each, reason=reason, next_attempt_at=next_attempt_at) for each in taken]


def ids(taken):
    return [each.external_id for each in taken]


def current(database, row):
    with database.read() as connection:
        return imports.get(connection, row.id)


def statuses(database, row):
    """external_id -> (status, claimed_by)."""
    columns = import_item_statuses.c
    with database.read() as connection:
        found = connection.execute(
            select(columns.external_id, columns.status, columns.claimed_by).where(columns.import_id == row.id)
        )
        return {each.external_id: (each.status, each.claimed_by) for each in found}


def table(database, model=Thing):
    """The user's rows."""
    with database.read() as connection:
        rows = connection.execute(select(model.__table__).order_by(model.external_id))
        return [{name: value for name, value in row._mapping.items() if name != "id"} for row in rows]


def counted(database, row):
    """What the import row says, and what its items say."""
    now = current(database, row)
    columns = import_item_statuses.c
    is_unchanged = columns.metadata["unchanged"].as_boolean()
    with database.read() as connection:

        def number(*conditions):
            return connection.scalar(select(func.count()).where(columns.import_id == row.id, *conditions))

        for_good = (columns.status == ItemStatus.FAILED, columns.next_attempt_at.is_(None))
        unchanged = number(columns.status == ItemStatus.COMPLETED, is_unchanged)
        said = (now.items_imported_count, now.items_unchanged_count, now.items_failed_count)
        return said, (number(columns.status == ItemStatus.COMPLETED) - unchanged, unchanged, number(*for_good))


def test_an_import_goes_from_scheduled_to_running_to_its_end(database):
    row = scheduled(database, requested_by="me", metadata={"limit": 3})
    assert (row.status, row.scheduled_at, row.fence, row.metadata) == (ImportStatus.SCHEDULED, NOON, 0, {"limit": 3})
    started = do(database, imports.start, row.id, ADA, at(1), "run-1")
    assert started == replace(
        row,
        status=ImportStatus.RUNNING,
        started_at=at(1),
        heartbeat_at=at(1),
        updated_at=at(1),
        host="machine",
        pid=1,
        dagster_run_id="run-1",
        fence=1,
    )
    do(database, imports.end, lease_of(started, ADA), at(2), ImportStatus.COMPLETED, incomplete_reason="half of it")
    assert current(database, row) == replace(
        started,
        status=ImportStatus.COMPLETED,
        ended_at=at(2),
        heartbeat_at=at(2),
        updated_at=at(2),
        incomplete_reason="half of it",
    )


@pytest.mark.parametrize("import_id", [7, 10**22])
def test_an_import_that_is_not_there_is_said_to_be_missing(database, import_id):
    sentence = f"import {import_id}: there is none of this id"
    with database.read() as connection, pytest.raises(ImportNotFound, match=sentence):
        imports.get(connection, import_id)


@pytest.mark.parametrize("ended", [ImportStatus.COMPLETED, ImportStatus.FAILED, ImportStatus.CANCELLED])
def test_an_import_that_has_ended_takes_no_further_step(database, ended):
    row, lease = begun(database)
    do(database, imports.end, lease, at(1), ended)
    before = current(database, row)
    with pytest.raises(InvalidTransition, match=f"import {row.id} cannot become running: it is {ended}"):
        do(database, imports.start, row.id, BOB, at(2), None)
    with pytest.raises(LeaseLost):
        do(database, imports.end, lease, at(2), ImportStatus.COMPLETED)
    with pytest.raises(LeaseLost):
        do(database, imports.take_over, before, BOB, at(2), None)
    assert not do(database, scheduling.cancel_scheduled, row.id, at(2), "no need")
    assert not do(database, imports.wish_cancel, row.id, at(2))
    assert current(database, row) == before


def test_a_running_import_is_not_started_again(database):
    row, _ = begun(database)
    with pytest.raises(InvalidTransition, match="cannot become running: it is running"):
        do(database, imports.start, row.id, BOB, at(1), None)
    assert not do(database, scheduling.cancel_scheduled, row.id, at(1), "no need")


def test_a_scheduled_import_is_cancelled_with_its_reason(database):
    row = scheduled(database)
    assert do(database, scheduling.cancel_scheduled, row.id, at(1), "a later one is due")
    after = current(database, row)
    assert (after.status, after.cancelled_at, after.ended_at) == (ImportStatus.CANCELLED, at(1), at(1))
    assert after.failure_reason == "a later one is due"


def test_the_first_wish_to_cancel_counts(database):
    row, _ = begun(database)
    assert do(database, imports.wish_cancel, row.id, at(1))
    assert do(database, imports.wish_cancel, row.id, at(2))
    assert current(database, row).cancel_requested_at == at(1)


def test_a_slot_has_one_import(database):
    scheduled(database, slot_at=NOON)
    scheduled(database, "others", slot_at=NOON)
    with pytest.raises(IntegrityError):
        scheduled(database, slot_at=NOON)


def test_of_fifty_starts_at_once_one_succeeds(database):
    rows = [scheduled(database) for _ in range(50)]
    other = scheduled(database, "others")
    barrier = threading.Barrier(8)

    def start(row):
        if row.id <= rows[7].id:
            barrier.wait()
        try:
            return do(database, imports.start, row.id, ADA, NOON, None).id
        except IntegrityError:
            return None

    with ThreadPoolExecutor(8) as pool:
        started = [found for found in pool.map(start, rows) if found]
    assert len(started) == 1
    with database.read() as connection:
        assert imports.running(connection, "things").id == started[0]
        assert imports.running(connection, "others") is None
    assert do(database, imports.start, other.id, ADA, NOON, None).status is ImportStatus.RUNNING


def test_of_many_takeovers_at_once_one_succeeds(database):
    row, _ = begun(database)

    def take(number):
        try:
            return do(database, imports.take_over, row, replace(BOB, id=f"bob{number}"), at(1), None).fence
        except LeaseLost:
            return None

    with ThreadPoolExecutor(8) as pool:
        taken = [found for found in pool.map(take, range(8)) if found]
    assert taken == [row.fence + 1]


def test_whoever_takes_over_finds_the_claims_released_and_the_resume_counted(database):
    row, lease = begun(database)
    discover(database, row, lease, *map(stub, "abc"))
    claim(database, lease, 2)
    taken = do(database, imports.take_over, row, BOB, at(1), "run-2")
    assert (taken.fence, taken.resumes, taken.pid, taken.dagster_run_id) == (2, 1, 2, "run-2")
    assert statuses(database, row) == dict.fromkeys("abc", ("pending", None))
    assert ids(claim(database, lease_of(taken, BOB))) == ["a", "b", "c"]


def test_whoever_leaves_in_order_releases_the_claims_and_costs_no_resume(database):
    row, lease = begun(database)
    discover(database, row, lease, *map(stub, "ab"))
    claim(database, lease, 1)
    do(database, imports.leave, lease, at(1))
    left = current(database, row)
    assert (left.status, left.host, left.pid) == (ImportStatus.RUNNING, None, None)
    assert statuses(database, row) == dict.fromkeys("ab", ("pending", None))
    assert do(database, imports.take_over, left, BOB, at(2), None).resumes == 0


STALE_WRITES = {
    "a page": lambda connection, row, lease, taken: pages.store_page(
        connection, row, lease, Thing, Page(items=[stub("new"), stub("a", name="late")], checkpoint={"page": 9}), NOON
    ),
    "a selection": lambda connection, row, lease, taken: pages.select_items(connection, row, lease, ["new"], NOON),
    "a claim": lambda connection, row, lease, taken: claims.claim(connection, lease, 10, NOON),
    "details": lambda connection, row, lease, taken: claims.complete(
        connection, row, lease, Thing, details(taken, name="late"), NOON
    ),
    "a failure": lambda connection, row, lease, taken: claims.fail(connection, lease, failures(taken), NOON),
    "a heartbeat": lambda connection, row, lease, taken: imports.beat(connection, lease, at(9), Pulse(requests=5)),
    "an end": lambda connection, row, lease, taken: imports.end(connection, lease, at(9), ImportStatus.COMPLETED),
    "a leave": lambda connection, row, lease, taken: imports.leave(connection, lease, at(9)),
    "a note of its own": lambda connection, row, lease, taken: leases.write(connection, lease, at(9), metadata={}),
}


@pytest.mark.parametrize("what", STALE_WRITES)
def test_a_worker_that_was_replaced_can_write_nothing(database, what):
    row, lease = begun(database)
    discover(database, row, lease, *map(stub, "ab"))
    taken = claim(database, lease)
    successor = do(database, imports.take_over, row, BOB, at(1), None)
    claim(database, lease_of(successor, BOB))
    before = (current(database, row), statuses(database, row), table(database))
    with pytest.raises(LeaseLost):
        do(database, STALE_WRITES[what], row, lease, taken)
    assert (current(database, row), statuses(database, row), table(database)) == before


def test_two_workers_claim_disjoint_items(database):
    row, ada = begun(database)
    bob = replace(ada, worker="bob")
    discover(database, row, ada, *(stub(f"{number:03}") for number in range(200)))

    def work(lease):
        found = []
        while taken := claim(database, lease, 7):
            assert len(taken) <= 7
            found += ids(taken)
        return found

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, [ada, bob, ada, bob]))
    assert sorted(each for some in found for each in some) == [f"{number:03}" for number in range(200)]


def test_due_retries_come_first_then_pending_items_then_those_whose_lease_ran_out(database):
    row, lease = begun(database)
    discover(database, row, lease, *map(stub, "abcdef"))
    a, b = claim(database, lease, 2)
    do(database, claims.fail, lease, failures([a], next_attempt_at=at(30)), NOON)
    do(database, claims.fail, lease, failures([b], next_attempt_at=at(20)), NOON)
    assert ids(claim(database, lease, 1)) == ["c"]  # its lease runs out at 60
    with database.read() as connection:
        assert items.remaining(connection, row.id) == Remaining(
            pending=3, processing=1, waiting=2, next_attempt_at=at(20)
        )
    assert ids(claim(database, lease, 1, now=at(61))) == ["b"]
    assert ids(claim(database, lease, 2, now=at(61))) == ["a", "d"]
    assert ids(claim(database, lease, 9, now=at(61))) == ["e", "f"]
    assert ids(claim(database, lease, 9, now=at(61))) == ["c"]


def test_a_retry_waits_until_it_is_due(database):
    row, lease = begun(database)
    discover(database, row, lease, stub("a"))
    do(database, claims.fail, lease, failures(claim(database, lease), next_attempt_at=at(30)), NOON)
    assert claim(database, lease, now=at(29)) == []
    [again] = claim(database, lease, now=at(30))
    assert (again.external_id, again.failure_count) == ("a", 1)


def test_a_claim_runs_out_unless_the_heartbeat_renews_it(database):
    row, ada = begun(database)
    bob = replace(ada, worker="bob")
    discover(database, row, ada, *map(stub, "ab"))
    [a] = claim(database, ada, 1)
    assert ids(claim(database, bob, 1)) == ["b"]
    do(database, imports.beat, bob, at(50), Pulse())
    assert ids(claim(database, bob, now=at(LEASE_SECONDS + 1))) == ["a"]
    assert do(database, claims.complete, row, ada, Thing, details([a], name="late"), at(61)) == []
    assert statuses(database, row) == {"a": ("processing", "bob"), "b": ("processing", "bob")}
    assert [thing["name"] for thing in table(database)] == ["a", "a"]


def test_what_is_done_twice_is_counted_once(database):
    row, lease = begun(database)
    discover(database, row, lease, *map(stub, "ab"))
    taken = claim(database, lease)
    for _ in range(2):
        do(database, claims.complete, row, lease, Thing, details(taken[:1]), NOON)
        do(database, claims.fail, lease, failures(taken[1:]), NOON)
        do(database, claims.fail, lease, failures(taken[:1]), NOON)
    assert counted(database, row) == ((1, 0, 1), (1, 0, 1))


def test_counters_equal_the_rows_through_a_whole_import(database):
    row, lease = begun(database)
    assert discover(database, row, lease, *map(stub, "abcdef"), whole("g"), total=9) == 7
    assert discover(database, row, lease, stub("a"), whole("g"), replace(stub("h"), importable=None, problem="no")) == 1
    assert current(database, row).items_count == 9
    assert counted(database, row) == ((1, 0, 1), (1, 0, 1))
    taken = claim(database, lease, 5)
    assert ids(taken) == list("abcde")
    do(database, claims.complete, row, lease, Thing, details(taken[:2]), NOON)
    do(database, claims.fail, lease, failures(taken[2:3], "gone"), NOON)
    do(database, claims.fail, lease, failures(taken[3:4], "later", at(30)), NOON)
    assert counted(database, row) == ((3, 0, 2), (3, 0, 2))
    with database.read() as connection:
        assert items.remaining(connection, row.id) == Remaining(
            pending=1, processing=1, waiting=1, next_attempt_at=at(30)
        )
        assert items.count(connection, row.id) == 8
        told = [(each.external_id, each.reason, each.next_attempt_at) for each in items.failures(connection, row.id)]
    assert told == [("c", "gone", None), ("h", "no", None), ("d", "later", at(30))]


def test_failed_items_are_told_those_for_good_first(database):
    row, lease = begun(database)
    discover(database, row, lease, *map(stub, "ab"))
    a, b = claim(database, lease)
    do(database, claims.fail, lease, [*failures([a], "later", at(30)), *failures([b], "gone")], at(1))
    with database.read() as connection:
        told = items.failures(connection, row.id)
    expected = FailedItem(external_id="b", reason="gone", failure_count=1, last_failed_at=at(1), next_attempt_at=None)
    assert told == [expected, replace(expected, external_id="a", reason="later", next_attempt_at=at(30))]


def test_heartbeats_add_requests_and_hits_and_keep_the_most_sleep(database):
    row, lease = begun(database)
    do(database, imports.beat, lease, at(1), Pulse(requests=5, hits=1, sleeps=2, slept_seconds=3.5))
    beaten = do(
        database, imports.beat, lease, at(2), Pulse(requests=4, sleeps=1, slept_seconds=4.0, blocked_until=at(9))
    )
    assert beaten == replace(
        row,
        requests_count=9,
        rate_limit_hits_count=1,
        rate_limit_sleeps_count=2,
        total_sleep_seconds=4.0,
        blocked_until=at(9),
        heartbeat_at=at(2),
        updated_at=at(2),
    )


def test_an_item_whose_version_is_known_is_unchanged_as_long_as_its_row_is_there(database):
    def one_import(*found):
        row, lease = begun(database)
        discover(database, row, lease, *found)
        taken = claim(database, lease)
        do(database, claims.complete, row, lease, Thing, details(taken), NOON)
        said, counts = counted(database, row)
        assert said == counts
        do(database, imports.end, lease, NOON, ImportStatus.COMPLETED)
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
    do(database, imports.end, lease, NOON, ImportStatus.COMPLETED)
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


REFUSED_ANYWHERE = {"NOT NULL": {"name": None}, "a number that is too large": {"amount": 2**70}}
REFUSED_BY_POSTGRES = {
    "a text that is too long": {"note": "far too long for it"},
    "a zero byte": {"note": "a\0b"},
}
REFUSED_BY_THE_DRIVERS = {"half a character": {"note": "\ud800"}, "no value of the column": {"note": {"a": [1]}}}


@pytest.mark.parametrize("reason", [*REFUSED_ANYWHERE, *REFUSED_BY_POSTGRES, *REFUSED_BY_THE_DRIVERS])
def test_a_row_that_the_table_refuses_fails_alone(database, reason):
    bad = (REFUSED_ANYWHERE | REFUSED_BY_POSTGRES | REFUSED_BY_THE_DRIVERS)[reason]
    refusing = [] if database.is_sqlite and reason in REFUSED_BY_POSTGRES else ["bad"]
    row, lease = begun(database)
    discover(database, row, lease, *map(stub, ["a", "bad", "c"]))
    taken = claim(database, lease)
    done = [*details(taken[:1]), *details(taken[1:2], **bad), *details(taken[2:])]
    if refusing:
        with pytest.raises(importables.RowsRefused):
            do(database, claims.complete, row, lease, Thing, done, NOON, at_once=True)
        assert counted(database, row) == ((0, 0, 0),) * 2
    refused = do(database, claims.complete, row, lease, Thing, done, NOON)
    assert [failure.claim.external_id for failure in refused] == refusing
    assert all(failure.reason.startswith("the table things refuses the row: ") for failure in refused)
    assert counted(database, row) == ((3 - len(refusing), 0, len(refusing)),) * 2
    assert [thing["name"] for thing in table(database)] == ["b", "a" if refusing else bad.get("name", "b"), "b"]


@pytest.mark.parametrize("bad", [{"name": None}, {"note": "\ud800"}], ids=["NOT NULL", "half a character"])
def test_a_stub_that_the_table_refuses_fails_alone(database, bad):
    row, lease = begun(database)
    discover(database, row, lease, stub("a"), stub("bad", **bad), stub("c"))
    assert counted(database, row) == ((0, 0, 1), (0, 0, 1))
    assert {external_id: status for external_id, (status, _) in statuses(database, row).items()} == {
        "a": "pending",
        "bad": "failed",
        "c": "pending",
    }
    assert [thing["external_id"] for thing in table(database)] == ["a", "c"]


@pytest.mark.parametrize("text_", ["a\0b", "\ud800"])
def test_text_that_no_database_holds_does_not_end_an_import_as_a_reason(database, text_):
    row, lease = begun(database)
    discover(database, row, lease, stub("a"), Discovered(external_id="b", importable=None, problem=f"no {text_}"))
    do(database, claims.fail, lease, failures(claim(database, lease), f"strange: {text_}"), NOON)
    do(database, imports.end, lease, NOON, ImportStatus.FAILED, failure_reason=f"strange: {text_}")
    assert current(database, row).failure_reason.startswith("strange: ")


def test_forgetting_a_source_touches_nothing_of_another(database):
    for source, external_ids in (("things", "ab"), ("others", "cd")):
        row, lease = begun(database, source)
        discover(database, row, lease, *map(whole, external_ids))
        do(database, imports.end, lease, NOON, ImportStatus.COMPLETED)
    do(database, importables.upsert, Thing, [Thing(external_id="own", name="mine")])
    assert do(database, importables.forget, "things", Thing) == 2
    assert [thing["external_id"] for thing in table(database)] == ["c", "d", "own"]
    with database.read() as connection:
        assert set(connection.execute(select(source_items.c.source, source_items.c.external_id)).all()) == {
            ("others", "c"),
            ("others", "d"),
        }


def test_external_ids_may_be_numbers(database):
    row, lease = begun(database)
    found = [Discovered(external_id=str(number), importable=Numbered(external_id=number)) for number in (7, 12)]
    discover(database, row, lease, *found, model=Numbered)
    taken = claim(database, lease)
    with database.read() as connection:
        rows = importables.load(connection, Numbered, ids(taken))
    for each in rows.values():
        each.name = "b"
    done = [Done(claim=each, importable=rows[each.external_id]) for each in taken]
    assert do(database, claims.complete, row, lease, Numbered, done, NOON) == []
    assert table(database, Numbered) == [{"external_id": 7, "name": "b"}, {"external_id": 12, "name": "b"}]
    assert do(database, importables.forget, "things", Numbered) == 2


def test_heartbeats_and_batches_at_the_same_time_do_not_lock_each_other_out(database):
    row, lease = begun(database)
    discover(database, row, lease, *(stub(f"{number:03}") for number in range(150)))
    over = threading.Event()

    def beat():
        while not over.wait(0.001):
            do(database, imports.beat, lease, NOON, Pulse(requests=1))

    with ThreadPoolExecutor(2) as pool:
        beats = [pool.submit(beat) for _ in range(2)]
        try:
            while taken := claim(database, lease, 10):
                do(database, claims.complete, row, lease, Thing, details(taken[:5]), NOON)
                do(database, claims.fail, lease, failures(taken[5:]), NOON)
        finally:
            over.set()
        for each in beats:
            each.result()
    assert counted(database, row) == ((75, 0, 75), (75, 0, 75))


def test_a_selection_takes_each_chosen_item_once(database):
    row, lease = begun(database)
    do(database, pages.select_items, row, lease, ["b", "a", "b"], NOON)
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


def test_a_running_import_cannot_be_doubled_by_hand_either(database):
    begun(database)
    second = scheduled(database)
    statement = update(imports_table).where(imports_table.c.id == second.id).values(status="running")
    with pytest.raises(IntegrityError):
        do(database, lambda connection: connection.execute(statement))
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM imports WHERE status = 'running'")).scalar() == 1
