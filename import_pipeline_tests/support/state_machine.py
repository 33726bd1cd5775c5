"""A state machine of real imports: clocks, settings, operators and kills, checked against a model.

Nothing waits in real time; the imports are real ones over a canned API.
"""

from collections import defaultdict
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from import_pipeline.errors import ImportPipelineError
from import_pipeline.importer.control import cancellation, deletion, finalize, requests, retries
from import_pipeline.importer.control.cancellation import end_cancelled
from import_pipeline.importer.control.scheduling import tick
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.acquire import find_or_create, satisfies
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.lifecycle.state import RunState
from import_pipeline.importer.source_loader import configure
from import_pipeline.rules.status import ENDED, ImportStatus, Trigger
from import_pipeline.settings import load_settings
from import_pipeline.sources.items import ItemsSource
from import_pipeline.testing import MemoryPermits
from import_pipeline.tracking import imports
from import_pipeline.tracking.requests import RequestKind
from import_pipeline_tests.support.imports import FREE
from import_pipeline_tests.support.lifecycle import COMPLETED, at, delete_all_rows
from import_pipeline_tests.support.state_machine_model import ImportModel
from import_pipeline_tests.support.state_machine_parts import ChangingApi, ProcessDeath, SettableClock, run_process

SETTINGS = [
    *(("ITEMS_PER_PAGE", each) for each in ("1", "2", "3", "100")),
    *(("ITEMS_SLOTS", each) for each in ("0,6,12,18", "3,15", "09:30")),
    *(("ITEMS_TIME_ZONE", each) for each in ("UTC", "Asia/Kathmandu", "America/New_York")),
    *(("ITEMS_TRIES", each) for each in ("1", "3")),
    *(("ITEMS_BASE_URL", each) for each in ("https://a.test", "https://b.test/v2")),
    *(("ITEMS_LIMITS", each) for each in (FREE, "2/1 second", "none")),
    *(("ITEMS_OVERLAP", each) for each in ("true", "false")),
    *(("ITEMS_CONCURRENCY", each) for each in ("1", "4")),
    *(("ITEMS_LEASE", each) for each in ("60", "600")),
    *(("ITEMS_MAX_PAUSE", each) for each in ("1800", "21600")),
]
OPERATORS = {
    "cancel": cancellation.cancel,
    "retry": retries.retry,
    "delete": deletion.delete,
    "finalize": finalize.finalize,
    "mark gone": finalize.confirm_removed,
}
FITTING = {
    "cancel": lambda row: row.status not in ENDED,
    "retry": lambda row: row.items_failed_count or row.status in ENDED - {COMPLETED},
    "delete": lambda row: row.status in ENDED,
    "finalize": lambda row: row.status is ImportStatus.RUNNING,
    "mark gone": lambda row: "gone_unconfirmed" in row.metadata,
}
JUMPS = (-30, -4, -1, 1, 4, 30)
some = st.integers(min_value=0, max_value=7)
#: The events of one process: its kill or interrupt, and the actions of others meanwhile.
fate = st.fixed_dictionaries(
    {
        "kill_at": st.one_of(st.just(0), st.integers(min_value=1, max_value=120)),
        "interrupt_at": st.one_of(st.just(0), st.just(0), st.integers(min_value=1, max_value=8)),
        "place": st.sampled_from(["here", "elsewhere"]),
        "broken": st.sets(some, max_size=2),
        "pauses": st.sampled_from([0, 0, 0, 1]),
        "meanwhile": st.dictionaries(
            st.integers(min_value=1, max_value=8),
            st.tuples(st.sampled_from(["tick", "request", "prune", "clock", "api", *OPERATORS]), some),
            max_size=2,
        ),
    }
)
IN_PEACE = {"kill_at": 0, "interrupt_at": 0, "place": "elsewhere", "broken": set(), "pauses": 0, "meanwhile": {}}


class ImportStateMachine(RuleBasedStateMachine):
    """One source, its sensor, its worker processes, its operators, and time."""

    def __init__(self, database):
        super().__init__()
        delete_all_rows(database)
        self.database, self.clock, self.api = database, SettableClock(at(0)), ChangingApi()
        self.permits = MemoryPermits(self.clock)
        self.environment = {"ITEMS_PER_PAGE": "3", "ITEMS_LIMITS": FREE, "ITEMS_SLOTS": "0,6,12,18"}
        self.is_listed, self.schedule_is_on, self.is_off_seen = True, True, False
        self.asked, self.fates, self.runs = [], defaultdict(lambda: RunState.GONE), 0
        self.ledger = ImportModel(database, self.api)
        self.refusals = []  # the answers to operators

    @property
    def installation(self):
        """Open the installation as a new process reads it."""
        environment = {"DATABASE_URL": "sqlite:///unused", "IMPORT_PIPELINE_HOME": "/unused", "ITEMS_BACKOFF": "30"}
        settings = load_settings(environment | self.environment, Path("/"))
        sources = tuple(configure([ItemsSource()], settings)) if self.is_listed else ()
        return Installation(
            settings=settings, sources=sources, database=self.database, clock=self.clock, chance=lambda: 0.5
        )

    # Time, settings and the API

    @rule(hours=st.sampled_from([0.001, 0.05, 1, 7, 50]))
    def time_passes(self, hours):
        self.clock.advance(hours * 3600)

    @rule(hours=st.sampled_from(JUMPS))
    def the_clock_is_set(self, hours):
        self.clock.set_by += timedelta(hours=hours)

    @rule()
    def the_clock_is_right_again(self):
        self.clock.set_by = timedelta(0)

    @rule(setting=st.sampled_from(SETTINGS))
    def a_setting_changes(self, setting):
        self.environment |= dict([setting])

    @rule(is_on=st.booleans())
    def the_schedule_is_switched(self, is_on):
        self.schedule_is_on = is_on

    @rule(is_listed=st.booleans())
    def the_source_is_removed_or_back(self, is_listed):
        self.is_listed = is_listed

    @rule(which=some)
    def the_api_changes(self, which):
        ids = list(self.api.versions)
        if which < 3:
            self.api.change(ids[which % len(ids)])
        elif which < 5 and self.ledger.may("removed", self.running()):
            self.api.remove(ids[which % len(ids)])
        elif self.ledger.may("added", self.running()) and len(ids) < 10:
            self.api.add()

    # The sensor and the processes

    @precondition(lambda self: self.is_listed)
    @rule()
    def a_tick(self):
        installation = self.installation
        source = installation.source("items")
        result = tick(
            installation, source, schedule_is_on=self.schedule_is_on, run_state_of=lambda run_id: self.fates[run_id]
        )
        assert result.sentences, "every tick says what it decided"
        launched = [launch.import_id for launch in result.launches]
        self.ledger.after_tick(self.clock.now(), source.timetable, launched, schedule_is_on=self.schedule_is_on)
        self.asked += launched
        self.audit()

    @rule()
    def the_sensor_of_another_source_looks(self):
        end_cancelled(self.installation, "another")

    @precondition(lambda self: self.is_listed)
    @rule(fate=fate)
    def a_tick_and_its_run(self, fate):
        self.a_tick()
        self.a_run_begins(fate)

    @precondition(lambda self: self.is_listed)
    @rule(fate=fate)
    def a_run_begins(self, fate):
        if self.asked:
            with suppress(ImportPipelineError):
                self.process(self.asked.pop(0), fate)

    @rule()
    def a_run_is_lost_before_it_begins(self):
        del self.asked[:1]

    @precondition(lambda self: self.is_listed)
    @rule(fate=fate)
    def a_person_runs_it(self, fate):
        with suppress(ImportPipelineError):
            self.run_from_the_command_line(fate)

    def run_from_the_command_line(self, fate):
        """Import as `import-pipeline run` does: a stalled import first."""
        installation = self.installation
        source = installation.source("items")
        new = new_import(source, Trigger.CLI)
        while True:
            row = find_or_create(self.database, source, new, self.clock)
            self.audit()  # the audit checks an import that it ended before the next one runs
            outcome = self.process(row.id, fate)
            if satisfies(row, new) or self.running() is not None:
                return outcome

    def process(self, number, fate):
        """Run a process that executes the import; operators act during its requests."""
        installation = self.installation
        with self.database.read() as connection:
            self.ledger.begins(imports.get(connection, number))
        acts = {at: lambda act=act: self.meanwhile(*act) for at, act in fate["meanwhile"].items()}
        doom = ProcessDeath(kill_at=fate["kill_at"], interrupt_at=fate["interrupt_at"], acts=acts)
        ids = list(self.api.versions)
        self.api.broken, self.api.pauses = {ids[each % len(ids)] for each in fate["broken"]}, fate["pauses"]
        self.runs += 1
        run_id = f"run {self.runs}"
        self.fates[run_id] = RunState.ALIVE
        with_what = {"api": self.api, "permits": self.permits, "doom": doom, "place": fate["place"], "run_id": run_id}
        outcome = run_process(installation, installation.source("items"), number, **with_what)
        if outcome is not None or fate["place"] == "here":
            self.fates[run_id] = RunState.GONE
        self.audit()
        return outcome

    def meanwhile(self, action, which):
        """Return the actions of operators during an import."""
        if action == "tick" and self.is_listed:
            self.a_tick()
        elif action == "request":
            self.a_person_requests_an_import(RequestKind.NEW if which % 2 else RequestKind.RESCHEDULE, fresh=False)
        elif action == "prune":
            self.a_person_prunes(0)
        elif action == "clock":
            self.the_clock_is_set(JUMPS[which % len(JUMPS)])
        elif action == "api":
            self.the_api_changes(which)
        elif action in OPERATORS:
            self.a_person_acts(action, which)

    # People

    @precondition(lambda self: self.is_listed)
    @rule(kind=st.sampled_from([RequestKind.NEW, RequestKind.RESCHEDULE]), fresh=st.booleans())
    def a_person_requests_an_import(self, kind, fresh):
        installation = self.installation
        fresh = fresh and kind is RequestKind.NEW
        requests.request_import(installation, installation.source("items"), kind, fresh=fresh, by="Ada")

    @rule(action=st.sampled_from(sorted(OPERATORS)), which=some)
    def a_person_acts(self, action, which):
        """Act on one of the latest imports; every second time on one that the action applies to."""
        with self.database.read() as connection:
            rows = imports.latest(connection, limit=8)
        if which % 2 == 0:
            rows = [row for row in rows if FITTING[action](row)] or rows
        if not rows:
            return
        row = rows[which // 2 % len(rows)]
        self.ledger.before(action, row)
        try:
            made = OPERATORS[action](self.installation, row.id)
        except ImportPipelineError as error:
            self.refusals.append(str(error))
        else:
            self.ledger.acted(action, row, made, self.clock.now())

    @rule(days=st.sampled_from([0, 1]))
    def a_person_prunes(self, days):
        deletion.prune(self.installation, days)

    # Invariants

    def running(self):
        with self.database.read() as connection:
            return imports.running(connection, "items")

    @invariant()
    def audit(self):
        self.ledger.audit(self.installation)
        assert not any("\n" in each for each in self.refusals), "each refusal is one sentence"

    def teardown(self):
        """Restore the API and the schedule; then all imports must end."""
        self.is_listed, self.schedule_is_on, self.asked = True, True, []
        self.clock.advance(7200)  # the API's last pause is over
        for _ in range(50):
            self.a_tick_and_its_run(IN_PEACE)
            if self.ledger.everything_has_ended(self.clock.now()):
                break
            self.clock.advance(600)
        assert self.ledger.everything_has_ended(self.clock.now())
        outcome = self.run_from_the_command_line(IN_PEACE)
        assert (outcome.status, outcome.items_failed_count, outcome.incomplete_reason) == (COMPLETED, 0, None)
        self.ledger.settle(outcome.import_id)
