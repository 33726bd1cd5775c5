"""The stores of shared tokens: one owner of a lock at a time, ages on the store's clock, no token overwritten."""

import sqlite3

import pytest

from import_pipeline.ratelimit.protocol import StoreError
from import_pipeline.ratelimit.tokens.redis import RedisTokens
from import_pipeline.ratelimit.tokens.sqlite import SQLiteTokens
from import_pipeline_tests.support.memory_tokens import MemoryTokens


@pytest.fixture(params=["memory", "sqlite", "redis"])
def opened(request, tmp_path):
    """Return a function that opens the same empty store again, as another process does."""
    if request.param == "memory":
        store = MemoryTokens()
        return lambda: store
    if request.param == "sqlite":
        return lambda: SQLiteTokens(tmp_path / "limits.db")
    url = request.getfixturevalue("redis_url")
    return lambda: RedisTokens(url)


@pytest.fixture
def stores(opened):
    """Two processes' views of a store; they are closed at the end."""
    pair = opened(), opened()
    yield pair
    for store in pair:
        store.close()


def test_one_owner_at_a_time_has_the_lock_of_a_name(stores):
    one, two = stores
    assert one.claim("t", "one", 30).is_granted
    refused = two.claim("t", "two", 30)
    assert (refused.is_granted, refused.stored) == (False, None)
    assert 25 < refused.wait <= 30
    assert one.claim("t", "one", 30).is_granted  # its own lock is extended
    assert two.claim("another", "two", 30).is_granted


def test_a_token_ends_the_lock_and_is_read_by_all(stores):
    one, two = stores
    one.claim("t", "one", 30)
    assert one.put("t", "one", b"sealed", after=0, age=2.5) == 1
    claim = two.claim("t", "two", 30)
    assert claim.is_granted
    assert (claim.stored.version, claim.stored.value) == (1, b"sealed")
    assert 2.5 <= claim.stored.age < 10


def test_a_lock_ends_by_itself_and_by_its_owner_only(stores):
    one, two = stores
    one.claim("t", "one", 30)
    two.hold("t", "two", 0)
    assert not two.claim("t", "two", 30).is_granted
    one.hold("t", "one", 0)
    assert two.claim("t", "two", 0).is_granted
    assert one.claim("t", "one", 30).is_granted


def test_an_owner_whose_lock_has_ended_does_not_replace_a_later_token(stores):
    one, two = stores
    one.claim("t", "one", 0)
    two.claim("t", "two", 30)
    assert two.put("t", "two", b"later", after=0, age=0) == 1
    assert one.put("t", "one", b"earlier", after=0, age=0) is None
    assert one.claim("t", "one", 30).stored.value == b"later"


class Machine:
    """The clock of a machine that can boot."""

    def __init__(self):
        self.micros, self.boot = 5_000_000_000, "first"

    def opened(self, path):
        return SQLiteTokens(path, micros=lambda: self.micros, boot=lambda: self.boot)


def test_a_boot_ends_locks_and_leaves_a_token_of_unknown_age(tmp_path):
    machine = Machine()
    store = machine.opened(tmp_path / "limits.db")
    store.claim("t", "one", 30)
    store.put("t", "one", b"sealed", after=0, age=0)
    store.claim("t", "one", 3600)
    machine.micros, machine.boot = 1_000, "second"
    claim = store.claim("t", "two", 30)
    assert (claim.is_granted, claim.stored.value, claim.stored.age) == (True, b"sealed", None)
    assert store.claim("t", "two", 30).stored.age is None  # the token is as old as before
    store.close()


def test_a_clock_that_is_set_changes_no_age(tmp_path):
    """The machine's monotonic clock counts; the wall clock is never read."""
    machine = Machine()
    store = machine.opened(tmp_path / "limits.db")
    store.claim("t", "one", 30)
    store.put("t", "one", b"sealed", after=0, age=1.0)
    machine.micros += 10_000_000
    assert store.claim("t", "one", 30).stored.age == pytest.approx(11.0)
    store.close()


def test_a_token_is_synchronized_with_the_disk_before_it_is_used(tmp_path):
    store = SQLiteTokens(tmp_path / "limits.db")
    store.claim("t", "one", 30)
    assert store._file._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    store.close()


def test_a_store_that_fails_says_so(tmp_path):
    path = tmp_path / "limits.db"
    path.write_bytes(b"not a database, whatever the name says" * 100)
    with pytest.raises(StoreError, match=r"limits\.db: "):
        SQLiteTokens(path).claim("t", "one", 30)
    with pytest.raises(StoreError, match="Check REDIS_URL"):
        RedisTokens("redis://127.0.0.1:9").claim("t", "one", 30)


def test_the_permits_and_the_tokens_share_a_file(tmp_path):
    from import_pipeline.ratelimit.stores.sqlite import SQLitePermits

    path = tmp_path / "limits.db"
    permits, store = SQLitePermits(f"permits+sqlite://{path}"), SQLiteTokens(path)
    assert permits.check()
    assert store.claim("t", "one", 30).is_granted
    assert permits.check()
    permits.close()
    store.close()
    with sqlite3.connect(path) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert names >= {"tokens", "api_states"}
