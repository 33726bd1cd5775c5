"""Two operators at the same moment: all states of an import, all commands, and every point of interleaving."""

import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import select, text

from import_pipeline.errors import ImportPipelineError
from import_pipeline.importer.control import cancellation, deletion, requests, retries
from import_pipeline.importer.control import finalize as finalizing
from import_pipeline.importer.control.pauses import lift_pause
from import_pipeline.importer.lifecycle.acquire import find_or_create
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.lifecycle.take_over import start_or_take_over
from import_pipeline.rules.status import ImportStatus, Trigger
from import_pipeline.settings import load_settings
from import_pipeline.tracking import leases
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.requests import RequestKind
from import_pipeline.tracking.tables import import_requests, source_items
from import_pipeline.tracking.workers import Worker
from import_pipeline_tests.support.lifecycle import ADA, FAILED, SimulatedInstallation, at, items_source

#: Columns that hold the outcome of an import.
COLUMNS = (
    *("trigger", "kind", "status", "slot_at", "scheduled_at", "blocked_until", "cancel_requested_at", "retry_of"),
    *("resumes", "items_failed_count", "failure_reason", "requested_by", "run_requested_at", "metadata"),
)
WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted")


# States


def idle(simulation):
    return 0


def slot_waiting(simulation):
    return simulation.slot(at(12))


def requested(simulation):
    requests.request_import(simulation.installation, simulation.source, RequestKind.RESCHEDULE, by="another person")
    return simulation.slot(at(12))


def queued(simulation):
    number = simulation.slot(at(9))
    simulation.tick()
    return number


def running(simulation):
    hand = simulation.begin(simulation.slot(at(9)), ADA)
    hand.discover("1", "2")
    return hand.row.id


def stalled(simulation):
    number = running(simulation)
    simulation.advance(minutes=30)
    return number


def done_and_left(simulation):
    hand = simulation.begin(simulation.slot(at(9)), ADA)
    hand.discover("1")
    hand.succeed(hand.claim())
    hand.leave()
    simulation.advance(seconds=1)
    return hand.row.id


def paused(simulation):
    hand = simulation.begin(simulation.slot(at(9)), ADA)
    hand.discover("1", "2")
    simulation.call(leases.write, hand.lease, simulation.now, blocked_until=simulation.now + timedelta(hours=1))
    hand.leave()
    simulation.advance(seconds=1)
    return hand.row.id


def failed(simulation):
    hand = simulation.begin(simulation.slot(at(9)), ADA)
    hand.discover("1", "2", "3")
    hand.succeed(hand.claim(1))
    hand.fail(hand.claim(1))
    hand.end(FAILED)
    simulation.advance(minutes=1)
    return hand.row.id


def retry_waiting(simulation):
    number = failed(simulation)
    retries.retry(simulation.installation, number, by="another person")
    return number


def items_missing(simulation):
    simulation.begin(simulation.slot(at(6)), ADA).import_all("1", "2", "3")
    hand = simulation.begin(simulation.slot(at(9)), ADA)
    hand.import_all("1")
    assert simulation.get(hand.row.id).metadata["gone_unconfirmed"] == 2
    simulation.advance(minutes=1)
    return hand.row.id


STATES = (
    *(idle, slot_waiting, requested, queued, running, stalled),
    *(done_and_left, paused, failed, retry_waiting, items_missing),
)


# Commands: each returns (True if it has changed anything, its answer)


def request(simulation, number, who):
    asked = requests.request_import(
        simulation.installation, simulation.source, RequestKind.NEW, by="a login that two people share"
    )
    return asked.already is None, asked.already


def reschedule(simulation, number, who):
    asked = requests.request_import(simulation.installation, simulation.source, RequestKind.RESCHEDULE, by=who)
    return asked.already is None, asked.already


def run(simulation, number, who):
    worker = Worker(id=who, host=who, pid=7)
    row = find_or_create(
        simulation.database, simulation.source, new_import(simulation.source, Trigger.CLI), simulation.clock, worker
    )
    return start_or_take_over(
        simulation.database, simulation.source, row.id, worker, simulation.clock, None
    ).status is ImportStatus.RUNNING, None


def start_scheduled(simulation, number, who):
    done = simulation.tick()
    return bool(done.launches), " ".join(done.sentences)


def cancel(simulation, number, who):
    done = cancellation.cancel(simulation.installation, number, by=who)
    return not done.already, done.sentence


def retry(simulation, number, who):
    retried = retries.retry(simulation.installation, number, by=who)
    return retried.already is None, retried.already


def delete(simulation, number, who):
    done = deletion.delete(simulation.installation, number, by=who)
    return not done.already, done.sentence


def finalize(simulation, number, who):
    done = finalizing.finalize(simulation.installation, number)
    return done.ended and not done.already, done.sentence


def mark_gone(simulation, number, who):
    return finalizing.confirm_removed(simulation.installation, number) > 0, "No item is left already."


def prune(simulation, number, who):
    deletion.prune(simulation.installation, 0, batch=2, source=simulation.source.name)
    return False, None  # two of them share the work


def resume(simulation, number, who):
    return bool(lift_pause(simulation.installation, simulation.source, by=who).imports), None


COMMANDS = (request, reschedule, run, start_scheduled, cancel, retry, delete, finalize, mark_gone, prune, resume)
#: Commands of one transaction: two of them have the same result at once as in sequence.
ATOMIC = {request, reschedule, cancel, retry, delete, mark_gone}


class InterruptingDatabase(Database):
    """A database that lets another operator act before a transaction begins or is committed."""

    def __init__(self, url):
        super().__init__(url)
        self.halts = 0  #: places that were passed
        self.halt_at, self.meanwhile = None, None

    def _pass(self, place):
        self.halts += 1
        if self.halts - 1 == self.halt_at:
            self.meanwhile(place)

    @contextmanager
    def _transaction(self, *, read_only=False, **options):
        self._pass("before")
        with super()._transaction(read_only=read_only, **options) as connection:
            yield connection
            if not read_only and not self.is_sqlite:  # there, a writer is alone
                self._pass("within")


class Operator(SimulatedInstallation):
    """An operator of a source, and its reads of the database."""

    def __init__(self, database, home, name, clock=None):
        source = items_source()
        source.name = name
        super().__init__(database, source=source)
        self.clock = clock or self.clock
        environment = {"DATABASE_URL": "sqlite:///unused", "IMPORT_PIPELINE_HOME": str(home)}
        settings = load_settings(environment, home)
        self.installation = replace(self.installation, settings=settings, clock=self.clock)

    def own(self):
        return [row for row in self.all() if row.source == self.source.name]

    def act(self, command, number, who):
        """Run a command; return (True if it changed anything, its answer). An error of ours is an answer too."""
        try:
            did, answer = command(self, number, who)
        except ImportPipelineError as error:
            return False, str(error)
        return did, answer

    def events(self):
        return Counter((row.id, action) for row in self.own() for action in self.actions(row.id))

    def spent(self):
        """Return the slots of imports that have started, or that a person moved or cancelled."""
        by_person = {row.slot_at for row in self.own() if row.cancel_requested_at or row.trigger == "reschedule"}
        return by_person | {row.slot_at for row in self.own() if row.started_at} - {None}

    def outcome(self):
        """Return all visible facts of the source's imports, without their ids."""
        rows = self.own()
        names = {str(row.id): f"import {place}" for place, row in enumerate(rows)}

        def plain(shown):
            return re.sub(r"(?<=import )\d+", lambda found: names.get(found[0], "that is deleted"), str(shown))

        with self.database.read() as connection:
            asked = select(import_requests).where(import_requests.c.source == self.source.name)
            asked = Counter((each.wish, each.handled_at is None) for each in connection.execute(asked))
            gone = select(source_items.c.external_id).where(
                source_items.c.source == self.source.name, source_items.c.gone_at.is_not(None)
            )
            gone = sorted(connection.scalars(gone))
        seen = []
        for row in rows:
            shown = {name: getattr(row, name) for name in COLUMNS} | {"retry_of": f"import {row.retry_of}"}
            seen.append(plain((shown, sorted(Counter(self.actions(row.id)).items()), self.item_counts(row.id))))
        text_of = re.sub(r"\b(first|second) operator\b", "operator", repr(sorted(seen)))
        return re.sub(r"items_\d+", "items", text_of), sorted(asked.items()), gone


def run_interleaved(desks, pool, state, first, second, halt_at=None):
    """Let the second operator act at the first one's `halt_at`-th transaction; else after it.

    Returns the outcome before, both answers, an operator to read with, and the number of the first one's halts.
    """
    mine, other = desks()
    number = state(other)
    before = other.events(), other.spent()
    later = []

    def second_acts(place):
        if place == "before":
            done = other.act(second, number, "second operator")
            later.append(lambda: done)
            return
        future = pool.submit(other.act, second, number, "second operator")
        while not future.done() and not is_blocked(other):
            continue  # each call is a query
        later.append(future.result)

    database = mine.database
    database.halts, database.halt_at, database.meanwhile = 0, halt_at, second_acts
    answers = [mine.act(first, number, "first operator")]
    places, database.halt_at = database.halts, None
    answers += [each() for each in later] or [other.act(second, number, "second operator")]
    return before, answers, other, places


def is_blocked(desk):
    """Return True if a transaction waits for another one, on Postgres."""
    with desk.database.read() as connection:
        return bool(connection.scalar(WAITING))
