"""The world of incremental imports: one source, its API, its processes and its operators.

The API changes at any time, processes are killed at any statement, operators act during imports. Nothing waits in real
time.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from sqlalchemy import select

from import_pipeline.errors import ImportPipelineError
from import_pipeline.importer.bookmarks.control import set_bookmark
from import_pipeline.importer.control import cancellation, deletion, retries
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.acquire import find_or_create, satisfies
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.source_loader import configure
from import_pipeline.rules.status import ImportStatus, Trigger
from import_pipeline.settings import load_settings
from import_pipeline.sources.items import ImportedItem
from import_pipeline.testing import MemoryPermits
from import_pipeline.tracking import imports
from import_pipeline.tracking.lists import bookmarks
from import_pipeline.tracking.tables import source_items
from import_pipeline_tests.support.imports import FREE
from import_pipeline_tests.support.lifecycle import at, delete_all_rows
from import_pipeline_tests.support.state_machine_parts import ProcessDeath, SettableClock, run_process

HOME = {"DATABASE_URL": "sqlite:///unused", "IMPORT_PIPELINE_HOME": "/unused", "ITEMS_BACKOFF": "30"}
IN_PEACE: Mapping = {"kill_at": 0, "broken": set(), "acts": {}}
#: Numbers that an import with a lookback reads again.
LOOKBACK = 2
WAITS = (1, 1, 2, 3, 5, 10, 30, 70, 400, 8000)


class BookmarkWorld:
    """Acts on the API, imports, and shows what the imports left."""

    def __init__(self, database):
        super().__init__()
        delete_all_rows(database)
        self.database, self.clock = database, SettableClock(at(0))
        self.permits, self.runs, self.seen = MemoryPermits(self.clock), 0, []
        #: Versions that came at a position which the list had passed before: the lookback finds them.
        self.late = set()

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

    # The API

    def the_api_changes(self, what, *, is_reading=False):
        name, which = what
        ids = sorted(self.api.items)
        chosen = ids[which % len(ids)]
        if name == "wait":
            self.clock.advance(WAITS[which])
        elif name == "add" and len(ids) < 10:
            self.api.add(*range(len(ids), min(10, len(ids) + 1 + which // 3)))
        elif name == "delete" and not self.api.items[chosen].is_deleted:
            self.api.delete(chosen)
        elif name == "late" and not (is_reading and (self.api.form, self.api.order) == ("number", "oldest_first")):
            self.api.put(chosen, late=self.lateness())
            self.late.add((chosen, self.api.items[chosen].version))
        elif name == "overtake":
            self.a_change_overtakes_another(which)
        else:
            self.api.change(chosen)

    def lateness(self):
        """Return the span by which a change may come late: up to the lookback, else one at the largest position."""
        if self.source.incremental.lookback:
            return 60 if self.api.form == "time" else LOOKBACK + 1
        return 0 if self.api.form == "time" else 1

    def a_change_overtakes_another(self, which):
        """Change or delete an item that the list has shown already; later, change those that it has still to show."""
        shown, to_come = sorted(self.api.named), sorted(set(self.api.items) - self.api.named)
        if shown:
            chosen = self.api.items[shown[which % len(shown)]]
            (self.api.delete if which > 6 and not chosen.is_deleted else self.api.change)(chosen.id)
            self.clock.advance(3)
        for each in to_come if which % 2 else to_come[-1:]:
            self.api.change(each)
            self.clock.advance(3)

    def enough_changes_for_two_pages(self, which):
        ids = sorted(self.api.items)
        for number in range(self.source.per_page + 1):
            self.api.change(ids[(which + number) % len(ids)])

    # Imports

    def an_import(self, todo, seconds, fate, options=None):
        """Change the API, and import; return the outcome, None if there is none."""
        for each in todo:
            self.the_api_changes(each)
        self.clock.advance(seconds)
        with suppress(ImportPipelineError):
            return self.run(fate, options or {})

    def finish(self):
        """Resume a stalled import and a scheduled retry: they began before, and see the changes of now in part."""
        if self.running() is not None:
            self.run(IN_PEACE, {})
        self.a_scheduled_retry()

    def a_scheduled_retry(self):
        with self.database.read() as connection:
            waiting = [row for row in imports.latest(connection, limit=20) if row.status is ImportStatus.SCHEDULED]
        if waiting and self.running() is None:
            with suppress(ImportPipelineError):
                self.process(waiting[-1].id, IN_PEACE)

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
        self.api.named.clear()
        self.api.lists.clear()
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

    def meanwhile(self, name, which):
        """Act before or during an import."""
        row = self.running()
        if name == "cancel" and row is not None:
            cancellation.cancel(self.installation, row.id)
        elif name == "broken":
            self.api.broken_lists = 100
        elif name == "set":
            self.a_person_sets_the_bookmark(which)
        elif name == "reset":
            set_bookmark(self.installation, self.source, None)
        elif name == "prune":
            deletion.prune(self.installation, 0)
        elif name in {"retry", "delete"}:
            self.a_person_retries_or_deletes(name, which)
        elif name != "cancel":
            self.the_api_changes((name, which), is_reading=True)

    # People

    def a_person_sets_the_bookmark(self, which):
        """Set it back to an earlier position: a later one would skip items on purpose."""
        now = self.bookmark()
        earlier = [each for each in self.seen if now is not None and self.place(each) <= self.place(now)]
        if earlier:
            set_bookmark(self.installation, self.source, earlier[which % len(earlier)])

    def a_person_retries_or_deletes(self, action, which):
        with self.database.read() as connection:
            rows = imports.latest(connection, limit=5)
        if rows:
            with suppress(ImportPipelineError):
                (retries.retry if action == "retry" else deletion.delete)(self.installation, rows[which % len(rows)].id)

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

    def the_bookmark_has_passed_nothing(self):
        value = self.bookmark()
        if value is None:
            return
        self.seen = [*self.seen[-20:], value]
        stored, known = self.stored(), self.known()
        passed = [item for item in self.api.items.values() if item.place <= self.place(value)]
        passed = [item for item in passed if (item.id, item.version) not in self.late]
        live = {item.id: item.version for item in passed if not item.is_deleted}
        lost = {
            key: version
            for key, version in live.items()
            if stored.get(key) != version and not known.get(key, (False,))[0]
        }
        assert lost == {}, f"beyond them: {value}"
        assert [item.id for item in passed if item.is_deleted and not known.get(item.id, (False, True))[1]] == []

    def all_is_there(self):
        """Check that the table has the latest version of each item, and that nothing is late any more."""
        stored = self.stored()
        assert {key: stored.get(key) for key in self.api.live} == self.api.live
        assert not {key for key, (_, is_gone) in self.known().items() if is_gone} & set(self.api.live)
        self.late.clear()
