"""A model of the expected imports, compared with the database after each step."""

from collections import defaultdict

from sqlalchemy import func, select

from import_pipeline.importer.monitoring.queries import view_in
from import_pipeline.importer.monitoring.view import as_json
from import_pipeline.rules.status import ENDED, ImportKind, ImportStatus, ItemStatus, Trigger
from import_pipeline.sources.items import ImportedItem
from import_pipeline.tracking import imports, items
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline.tracking.tables import import_requests, source_items

#: Figures that would be negative if they were wrong.
FIGURES = ("duration_seconds", "active_seconds", "away_seconds", "total_sleep_seconds")
COUNTERS = ("items_imported_count", "items_unchanged_count", "items_failed_count", "requests_count", "resumes")


class ImportModel:
    """The expectations of all imports, by their ids."""

    def __init__(self, database, api):
        self.database, self.api = database, api
        self.highest = 0  # the highest number that was given
        self.known = set()
        self.began = {}  # import -> the API's change count and versions when it began
        self.starts = defaultdict(set)  # slot -> imports that were started for it
        self.spent = set()  # slots that a person cancelled or moved
        self.retried = {}  # retry -> versions of what it is to import
        self.looked_at = set()  # ended imports that were checked
        self.changed = set()  # changes of the list since the running import began

    # Events

    def may(self, change, running):
        """Return False for a change that would hide items from any reader of a numbered list."""
        if running is None:
            self.changed = set()
        self.changed |= {change}
        if running is not None and len(self.changed) > 1:
            self.changed -= {change}
            return False
        return True

    def begins(self, row):
        """Record that a process is about to execute it."""
        if row.status is ImportStatus.SCHEDULED:
            self.began[row.id] = (self.api.changes, dict(self.api.versions))
            self.changed = set()

    def before(self, action, row):
        """Record the state before an operator acts."""
        self.left = set()
        if action == "retry":
            with self.database.read() as connection:
                left = select(statuses.c.external_id).where(items.left_by(row.id))
                self.left = set(connection.scalars(left))

    def acted(self, action, row, made, now):
        """Record that an operator's action succeeded."""
        if action == "retry":
            assert (made.row.id > row.id, made.row.retry_of) == (True, row.id)
            if made.already:
                assert made.row.id in self.retried, "an earlier request has made it"
            else:
                self.retried[made.row.id] = {each: self.api.versions.get(each, 0) for each in self.left}
        if action == "cancel" and row.status is ImportStatus.SCHEDULED and row.slot_at is not None:
            self.spent.add(row.slot_at)
        if action == "delete":
            if row.slot_at is not None and row.started_at is not None:
                assert row.slot_at <= now, "it keeps a coming slot from being filled again"
            self.starts.pop(row.slot_at, None)
            self.spent.discard(row.slot_at)
            self.known.discard(row.id)

    def after_tick(self, now, timetable, launched, *, schedule_is_on):
        """Record a tick of the sensor."""
        rows = self.rows()
        for number in launched:
            row = rows[number]
            if not schedule_is_on and row.status is ImportStatus.SCHEDULED:
                assert row.trigger is not Trigger.SCHEDULE, "nothing starts while the schedule is off, but requests"
            if row.slot_at is not None and row.status is ImportStatus.SCHEDULED:
                assert row.slot_at <= now or row.trigger is Trigger.RESCHEDULE, "no slot starts early"
        if schedule_is_on:
            moved = {row.slot_at for row in rows.values() if row.trigger is Trigger.RESCHEDULE}
            spent = self.spent | moved | {slot for slot, started in self.starts.items() if started}
            coming = next(slot for slot in timetable.after(now) if slot not in spent)
            waiting = {row.slot_at for row in rows.values() if row.status is ImportStatus.SCHEDULED}
            assert coming in waiting, "a slot that nothing has spent has its import"

    # Checks

    def rows(self):
        """Return all imports by id."""
        with self.database.read() as connection:
            return {row.id: row for row in imports.latest(connection, limit=10_000)}

    def audit(self, installation):
        """Compare the database with the model."""
        rows = self.rows()
        new = set(rows) - self.known
        assert all(number > self.highest for number in new), "a number is given once"
        self.highest = max([self.highest, *new])
        self.known |= new
        assert sum(row.status is ImportStatus.RUNNING for row in rows.values()) <= 1
        for row in rows.values():
            if row.slot_at is not None and row.started_at is not None:
                self.starts[row.slot_at].add(row.id)
        assert all(len(started) == 1 for started in self.starts.values()), "a slot starts one import"
        for number in sorted(rows)[-3:]:
            self._figures(installation, rows[number])
        for row in rows.values():
            if row.status in ENDED and row.id not in self.looked_at:
                self.looked_at.add(row.id)
                self._ended(row)

    def _figures(self, installation, row):
        with self.database.read() as connection:
            shown = as_json(view_in(connection, installation, row, installation.clock.now()))
        assert {name: shown[name] for name in FIGURES if (shown.get(name) or 0) < 0} == {}
        assert all(getattr(row, name) >= 0 for name in COUNTERS)

    def _ended(self, row):
        """Check an ended import before another one begins."""
        with self.database.read() as connection:
            of_import = statuses.c.import_id == row.id
            counted = select(statuses.c.status, func.count()).where(of_import).group_by(statuses.c.status)
            counts = dict(connection.execute(counted).all())
            undone = sum(count for status, count in counts.items() if status != ItemStatus.COMPLETED)
            assert items.unfinished(connection, row.id) == undone, "what it has left can be retried"
            failed = set(
                connection.scalars(
                    select(statuses.c.external_id).where(of_import, statuses.c.status == ItemStatus.FAILED)
                )
            )
        if row.status is not ImportStatus.COMPLETED:
            return
        assert row.items_failed_count == len(failed), "every failed item is reported"
        owed = self.retried.get(row.id, {})
        if row.kind is ImportKind.FULL and row.incomplete_reason is None:
            changes, versions = self.began[row.id]
            owed = {key: version for key, version in versions.items() if self.api.born.get(key, 0) <= changes}
            self._not_gone(set(owed) & set(self.api.versions))
        stored = self.stored()
        owed = {key: version for key, version in owed.items() if key in self.api.versions and key not in failed}
        assert {key: version for key, version in owed.items() if stored.get(key, 0) < version} == {}

    def stored(self):
        """Return id -> the version in the user's table; 0 for a stub."""
        with self.database.read() as connection:
            table = ImportedItem.__table__
            pairs = connection.execute(select(table.c.external_id, table.c.price)).all()
        assert len(pairs) == len(dict(pairs))
        return {key: int(price or 0) for key, price in pairs}

    def _not_gone(self, live):
        with self.database.read() as connection:
            gone = set(
                connection.scalars(select(source_items.c.external_id).where(source_items.c.gone_at.is_not(None)))
            )
        assert not gone & live, "what the list has is not marked as gone"

    def everything_has_ended(self, now):
        """Assert that nothing is running, due or requested."""
        with self.database.read() as connection:
            waiting = connection.scalar(
                select(func.count()).select_from(import_requests).where(import_requests.c.handled_at.is_(None))
            )
        left = [row for row in self.rows().values() if row.status not in ENDED]
        return not waiting and all(row.slot_at is not None and row.scheduled_at > now for row in left)

    def settle(self, number):
        """Assert that after one more full import the table equals the API."""
        stored = self.stored()
        assert {key: stored.get(key) for key in self.api.versions} == self.api.versions
        row = self.rows()[number]
        with self.database.read() as connection:
            there = set(connection.scalars(select(source_items.c.external_id).where(source_items.c.gone_at.is_(None))))
        assert set(self.api.versions) <= there
        if not row.metadata.get("gone_unconfirmed"):
            assert there == set(self.api.versions), "what is no longer in the list is marked"
