"""Actions of people, the panel and the sensor whose transaction Postgres ends at its commit: each takes effect once."""

from datetime import timedelta

import pytest
from sqlalchemy import create_engine, event, select, text

from import_pipeline.importer.control import cancellation, deletion, finalize, requests, retries
from import_pipeline.importer.control.cancellation import end_cancelled
from import_pipeline.importer.control.shard_supervisor import supervise_shards
from import_pipeline.importer.lifecycle.acquire import count_heartbeat_as_now
from import_pipeline.panel.context import Panel
from import_pipeline.panel.security import Login
from import_pipeline.tracking import panel_logins
from import_pipeline.tracking.requests import RequestKind
from import_pipeline.tracking.tables import tracking_metadata
from import_pipeline_tests.support.lifecycle import ADA, SimulatedInstallation, at, delete_all_rows, items_source

pytestmark = pytest.mark.parametrize("shared_database", ["postgres"], indirect=True)


@pytest.fixture(params=["backend killed", "serialization failure", "deadlock"])
def ending(request, shared_database):
    """Return a function that lets Postgres end the next transaction that writes, at its commit."""
    victims, other = [], create_engine(shared_database.url)

    def end(connection):
        if victims or connection.get_execution_options().get("read_only", True):
            return
        victims.append(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
        if request.param == "backend killed":
            with other.begin() as killer:
                killer.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": victims[0]})
        else:
            code = "40001" if request.param == "serialization failure" else "40P01"
            connection.exec_driver_sql(f"DO $$ BEGIN RAISE 'ended' USING ERRCODE = '{code}'; END $$")

    def begin():
        event.listen(shared_database.engine, "commit", end)
        return victims

    yield begin
    if event.contains(shared_database.engine, "commit", end):
        event.remove(shared_database.engine, "commit", end)
    other.dispose()


def scheduled(simulation):
    return simulation.slot(at(9))


def running(simulation):
    hand = simulation.begin(simulation.slot(simulation.now), ADA, run_id="run")
    hand.discover("1", "2")
    hand.claim(1)
    return hand.row.id


def later(prepare, **passed):
    """Return a preparation that lets that time pass after `prepare`."""

    def prepared(simulation):
        number = prepare(simulation)
        simulation.advance(**passed)
        return number

    return prepared


stalled = later(running, minutes=2)


def stalled_and_cancelled(simulation):
    number = stalled(simulation)
    cancellation.cancel(simulation.installation, number)
    return number


def half_done(simulation):
    hand = simulation.begin(simulation.slot(simulation.now), ADA)
    hand.discover("1", "2")
    hand.succeed(hand.claim(1))
    hand.fail(hand.claim())
    return hand


with_nothing_left = later(lambda simulation: half_done(simulation).row.id, minutes=2)


def with_a_failure(simulation):
    hand = half_done(simulation)
    hand.complete()
    return hand.row.id


old = later(with_a_failure, days=40)


def with_a_future_heartbeat(simulation):
    number = running(simulation)
    simulation.clock.advance(-timedelta(hours=2).total_seconds())
    return number


def nothing(simulation):
    """Create no import."""


#: An action -> what is there before it, and the action itself.
ACTIONS = {
    "request": (
        nothing,
        lambda simulation, _: requests.request_import(
            simulation.installation, simulation.source, RequestKind.NEW, by="Ada"
        ),
    ),
    "reschedule": (
        nothing,
        lambda simulation, _: requests.request_import(
            simulation.installation, simulation.source, RequestKind.RESCHEDULE
        ),
    ),
    "cancel a scheduled one": (
        scheduled,
        lambda simulation, number: cancellation.cancel(simulation.installation, number),
    ),
    "cancel a running one": (running, lambda simulation, number: cancellation.cancel(simulation.installation, number)),
    "retry": (with_a_failure, lambda simulation, number: retries.retry(simulation.installation, number)),
    "delete": (old, lambda simulation, number: deletion.delete(simulation.installation, number)),
    "finalize": (with_nothing_left, lambda simulation, number: finalize.finalize(simulation.installation, number)),
    "prune": (old, lambda simulation, _: deletion.prune(simulation.installation, 30, batch=1)),
    "a tick of the sensor": (stalled, lambda simulation, _: simulation.tick()),
    "shards that the sensor launches": (
        running,
        lambda simulation, _: supervise_shards(simulation.installation, simulation.source),
    ),
    "imports of others that the sensor ends": (
        stalled_and_cancelled,
        lambda simulation, _: end_cancelled(simulation.installation, "other"),
    ),
    "a clock that was ahead": (
        with_a_future_heartbeat,
        lambda simulation, _: count_heartbeat_as_now(simulation.database, "items", simulation.clock),
    ),
}


def kept(simulation):
    """Return the rows of the tracking database, without the numbers that a repeated unit takes anew."""
    found = {}
    with simulation.database.read() as connection:
        for table in tracking_metadata.sorted_tables:
            rows = connection.execute(select(table)).mappings()
            found[table.name] = sorted(
                str({name: value for name, value in row.items() if not is_of_the_moment(name)}) for row in rows
            )
    return found


def is_of_the_moment(name):
    return name in {"id", "message", "metadata", "outcome", "pid", "retry_of"} or name.endswith("_id")


def rows_after(simulation, action):
    """Prepare the action and pause; then execute it and yield the rows that it leaves."""
    delete_all_rows(simulation.database)
    own = SimulatedInstallation(simulation.database, source=items_source(shards=2))
    prepare, act = ACTIONS[action]
    number = prepare(own)
    yield
    act(own, number)
    yield kept(own)


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_whose_transaction_is_ended_takes_effect_once(simulation, ending, action):
    undisturbed, disturbed = rows_after(simulation, action), rows_after(simulation, action)
    next(undisturbed)
    expected = next(undisturbed)
    next(disturbed)
    victims = ending()
    assert next(disturbed) == expected
    assert len(victims) == 1, "a transaction was ended"


def test_a_login_that_is_ended_while_the_database_restarts_is_ended(simulation, ending):
    victims = ending()
    panel = Panel(installation=simulation.installation, policy=None)
    panel.end_login(Login(id="login", until=int(simulation.now.timestamp()) + 60), simulation.now)
    with simulation.database.read() as connection:
        assert panel_logins.has_ended(connection, "login")
    assert len(victims) == 1
