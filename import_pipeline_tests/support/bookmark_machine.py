"""A state machine of incremental imports: a bookmark never passes an item that was not imported.

The API changes at any time, processes are killed at any statement, operators act during imports. After each step, every
item up to the bookmark is in the table in its latest version, or is owed. Nothing waits in real time.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select

from import_pipeline import Incremental
from import_pipeline.errors import ImportPipelineError
from import_pipeline.importer.bookmarks.control import set_bookmark
from import_pipeline.importer.control import cancellation, deletion, retries
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.acquire import find_or_create, satisfies
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.source_loader import configure
from import_pipeline.rules.status import ImportKind, ImportStatus, Trigger
from import_pipeline.settings import load_settings
from import_pipeline.sources.items import ImportedItem
from import_pipeline.testing import MemoryPermits
from import_pipeline.tracking import imports
from import_pipeline.tracking.lists import bookmarks
from import_pipeline.tracking.tables import source_items
from import_pipeline_tests.support.changes_api import ChangesApi, source_for
from import_pipeline_tests.support.imports import FREE
from import_pipeline_tests.support.lifecycle import at, delete_all_rows
from import_pipeline_tests.support.state_machine_parts import ProcessDeath, SettableClock, run_process

HOME = {"DATABASE_URL": "sqlite:///unused", "IMPORT_PIPELINE_HOME": "/unused", "ITEMS_BACKOFF": "30"}
some = st.integers(min_value=0, max_value=9)
change = st.tuples(st.sampled_from(["add", "change", "change", "change", "delete", "wait"]), some)
act = st.one_of(change, st.tuples(st.sampled_from(["cancel", "set", "reset", "prune"]), some))
#: The events of one process: its kill, what the API answers wrongly, and what happens before its n-th request.
fate = st.fixed_dictionaries(
    {
        "kill_at": st.one_of(st.just(0), st.just(0), st.integers(min_value=1, max_value=150)),
        "broken": st.sets(some, max_size=2),
        "acts": st.dictionaries(st.integers(min_value=1, max_value=10), st.lists(act, max_size=2), max_size=3),
    }
)
IN_PEACE: Mapping = {"kill_at": 0, "broken": set(), "acts": {}}
options = st.sampled_from(
    [{}] * 6 + [{"full": True}, {"fresh": True}, {"limit": 2}, {"only": ("0", "1")}, {"kind": ImportKind.DISCOVERY}]
)


class BookmarkMachine(RuleBasedStateMachine):
    """One incremental source, its API, its processes and its operators."""

    def __init__(self, database):
        super().__init__()
        delete_all_rows(database)
        self.database, self.clock = database, SettableClock(at(0))
        self.permits, self.runs, self.seen = MemoryPermits(self.clock), 0, []

    @initialize(
        form=st.sampled_from(["time", "number"]),
        order=st.sampled_from(["oldest_first", "newest_first", None]),
        is_keyset=st.booleans(),
        has_total=st.booleans(),
        lookback=st.booleans(),
        full_every=st.sampled_from([None, None, timedelta(hours=5)]),
        per_page=st.integers(min_value=1, max_value=4),
        is_whole=st.sampled_from([False, False, True]),
        is_versioned=st.sampled_from([True, True, False]),
    )
    def an_api_is_there(
        self, form, order, is_keyset, has_total, lookback, full_every, per_page, is_whole, is_versioned
    ):
        self.api = ChangesApi(
            clock=self.clock,
            form=form,
            order=order,
            is_keyset=is_keyset,
            has_total=has_total,
            has_filter=order != "newest_first",
        )
        span = timedelta(seconds=90) if form == "time" else 2
        self.source = source_for(self.api, is_whole=is_whole, is_versioned=is_versioned)
        self.source.incremental = Incremental(lookback=span if lookback else 0, full_every=full_every)
        self.source.per_page = per_page
        self.api.add(*range(5))
        self.clock.advance(5)

    @property
    def installation(self):
        """Open the installation as a new process reads it."""
        settings = load_settings(HOME | {"ITEMS_LIMITS": FREE, "ITEMS_TRIES": "1"}, Path("/"))
        return Installation(
            settings=settings,
            sources=tuple(configure([self.source], settings)),
            database=self.database,
            clock=self.clock,
            chance=lambda: 0.5,
        )

    # Time and the API

    @rule(seconds=st.sampled_from([0.4, 3, 70, 8000]))
    def time_passes(self, seconds):
        self.clock.advance(seconds)

    @rule(what=change)
    def the_api_changes(self, what):
        name, which = what
        ids = sorted(self.api.items)
        if name == "wait":
            self.clock.advance(1 + which)
        elif name == "add" and len(ids) < 10:
            self.api.add(*range(len(ids), min(10, len(ids) + 1 + which // 3)))
        elif name == "delete":
            self.api.delete(ids[which % len(ids)])
        else:
            self.api.change(ids[which % len(ids)])

    @rule(unreadable=st.sets(some, max_size=1), odd=st.sets(some, max_size=1), unplaced=st.sets(some, max_size=1))
    def the_api_shows_items_wrongly(self, unreadable, odd, unplaced):
        """Show some list items without an id, with a position of another kind, or without a position."""
        self.api.unreadable = {str(each) for each in unreadable}
        self.api.odd = {str(each) for each in odd}
        self.api.unplaced = {str(each) for each in unplaced}

    # Imports

    @rule(fate=fate, options=options)
    def an_import(self, fate, options):
        with suppress(ImportPipelineError):
            self.run(fate, options)

    def run(self, fate, options):
        """Import as `import-pipeline run` does: a stalled import first. Return the outcome of the latest process."""
        installation = self.installation
        source = installation.source("items")
        new = new_import(source, Trigger.CLI, **options)
        while True:
            row = find_or_create(self.database, source, new, self.clock)
            outcome = self.process(row.id, fate)
            if satisfies(row, new) or self.running() is not None:
                return outcome

    def process(self, number, fate):
        acts = {
            place: lambda todo=todo: [self.meanwhile(*each) for each in todo] for place, todo in fate["acts"].items()
        }
        doom = self.doom = ProcessDeath(kill_at=fate["kill_at"], acts=acts)
        self.api.broken = {str(each) for each in fate["broken"]}
        self.runs += 1
        installation = self.installation
        with_what = {"api": self.api, "permits": self.permits, "doom": doom, "place": "elsewhere"}
        outcome = run_process(
            installation, installation.source("items"), number, run_id=f"run {self.runs}", **with_what
        )
        if self.running() is not None:
            self.clock.advance(120)  # the lease of a killed process expires
        return outcome

    def running(self):
        with self.database.read() as connection:
            return imports.running(connection, "items")

    def act(self, todo):
        for each in todo:
            self.meanwhile(*each)

    def meanwhile(self, name, which):
        """Act during an import."""
        row = self.running()
        if name == "cancel" and row is not None:
            cancellation.cancel(self.installation, row.id)
        elif name == "set":
            self.a_person_sets_the_bookmark(which)
        elif name == "reset":
            self.a_person_resets_the_bookmark()
        elif name == "prune":
            self.a_person_prunes()
        elif name in {"add", "change", "delete", "wait"}:
            self.the_api_changes((name, which))

    # People

    @rule(which=some)
    def a_person_sets_the_bookmark(self, which):
        """Set it back to an earlier position: a later one would skip items on purpose."""
        now = self.bookmark()
        earlier = [each for each in self.seen if now is not None and self.place(each) <= self.place(now)]
        if earlier:
            set_bookmark(self.installation, self.source, earlier[which % len(earlier)])

    @rule()
    def a_person_resets_the_bookmark(self):
        set_bookmark(self.installation, self.source, None)

    @rule()
    def a_person_prunes(self):
        deletion.prune(self.installation, 0)

    @rule(which=some, action=st.sampled_from(["retry", "delete"]))
    def a_person_acts(self, which, action):
        with self.database.read() as connection:
            rows = imports.latest(connection, limit=5)
        if rows:
            with suppress(ImportPipelineError):
                (retries.retry if action == "retry" else deletion.delete)(self.installation, rows[which % len(rows)].id)

    @rule(fate=fate)
    def a_scheduled_retry_runs(self, fate):
        with self.database.read() as connection:
            waiting = [row for row in imports.latest(connection, limit=20) if row.status is ImportStatus.SCHEDULED]
        if waiting and self.running() is None:
            with suppress(ImportPipelineError):
                self.process(waiting[-1].id, fate)

    # What must hold

    def bookmark(self):
        with self.database.read() as connection:
            return bookmarks.of_source(connection, "items").value

    def place(self, position):
        return datetime.fromisoformat(position).timestamp() if self.api.form == "time" else float(position)

    def stored(self):
        with self.database.read() as connection:
            table = ImportedItem.__table__
            pairs = connection.execute(select(table.c.external_id, table.c.price))
            return {key: int(price or 0) for key, price in pairs}

    def known(self):
        """Return id -> (owed, gone)."""
        columns = source_items.c
        with self.database.read() as connection:
            rows = connection.execute(select(columns.external_id, columns.owed_import_id, columns.gone_at))
            return {row[0]: (row[1] is not None, row[2] is not None) for row in rows}

    @invariant()
    def the_bookmark_has_passed_nothing(self):
        value = self.bookmark()
        if value is None:
            return
        self.seen = [*self.seen[-20:], value]
        stored, known = self.stored(), self.known()
        passed = [item for item in self.api.items.values() if item.place <= self.place(value)]
        live = {item.id: item.version for item in passed if not item.is_deleted}
        lost = {key: version for key, version in live.items() if stored.get(key) != version and not known[key][0]}
        assert lost == {}, f"beyond them: {value}"
        assert [item.id for item in passed if item.is_deleted and not known.get(item.id, (False, True))[1]] == []

    def teardown(self):
        """Let the API be right and quiet; soon all is in the table, and an import costs next to nothing."""
        if not hasattr(self, "api"):
            return
        self.the_api_shows_items_wrongly(set(), set(), set())
        for _ in range(4):
            self.clock.advance(300)
            self.run(IN_PEACE, {})
            self.the_bookmark_has_passed_nothing()
        outcome, stored = self.run(IN_PEACE, {}), self.stored()
        assert (outcome.status, outcome.items_failed_count, outcome.incomplete_reason) == ("completed", 0, None)
        assert {key: stored.get(key) for key in self.api.live} == self.api.live
        gone = {key for key, (_, is_gone) in self.known().items() if is_gone}
        assert not gone & set(self.api.live)
        newest = max(item.place for item in self.api.items.values())
        assert self.place(self.bookmark()) == newest, "once all is quiet, it has caught up"
