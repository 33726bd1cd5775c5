"""Two operators at one moment, with every pair of commands on every state of an import.

The second one acts at every place of the first one's way: before each of its transactions, and on Postgres within each.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from import_pipeline_tests.support.lifecycle import delete_all_rows
from import_pipeline_tests.support.operators import (
    ATOMIC,
    COMMANDS,
    STATES,
    InterruptingDatabase,
    Operator,
    cancel,
    delete,
    done_and_left,
    failed,
    finalize,
    idle,
    items_missing,
    mark_gone,
    paused,
    prune,
    queued,
    request,
    requested,
    reschedule,
    resume,
    retry,
    retry_waiting,
    run,
    run_interleaved,
    running,
    slot_waiting,
    stalled,
    start_scheduled,
)

#: The commands that each state is meant for.
MEANT_FOR = {
    idle: (request, reschedule, run, start_scheduled),
    slot_waiting: (reschedule, cancel),
    requested: (request, reschedule, start_scheduled, cancel),
    queued: (run, start_scheduled, cancel),
    running: (request, reschedule, cancel),
    stalled: (run, start_scheduled, cancel, finalize),
    done_and_left: (run, start_scheduled, cancel, finalize),
    paused: (run, cancel, resume),
    failed: (run, retry, delete, prune),
    retry_waiting: (retry, start_scheduled),
    items_missing: (mark_gone, delete, prune),
}


def named(state, *commands):
    return pytest.param(state, *commands, id="-".join(each.__name__ for each in (state, *commands)))


TWINS = [named(state, command) for state, commands in MEANT_FOR.items() for command in commands]
PAIRS = [named(state, first, second) for state in STATES for first in COMMANDS for second in COMMANDS]


@pytest.fixture(scope="module")
def desks(shared_database, tmp_path_factory):
    """Make two operators' desks on a source of its own."""
    delete_all_rows(shared_database)
    home, made = tmp_path_factory.mktemp("desk"), iter(range(10**6))
    with closing(InterruptingDatabase(shared_database.url.render_as_string(hide_password=False))) as halting:

        def two():
            name = f"items_{next(made)}"
            other = Operator(shared_database, home, name)
            return Operator(halting, home, name, other.clock), other

        yield two


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(1) as one:
        yield one


def fair(before, answers, desk):
    """Assert the rules that any two commands keep."""
    events, _ = before
    twice = {each: times for each, times in (desk.events() - events).items() if times > 1}
    assert twice == {}, "an effect has one event"
    assert sum(row.status == "running" for row in desk.own()) <= 1
    assert [answer for _, answer in answers if answer is not None and "\n" in answer] == [], "one line each"


@pytest.mark.parametrize(("state", "command"), TWINS)
def test_two_who_do_the_same_do_it_once(desks, pool, state, command):
    before, serial, desk, places = run_interleaved(desks, pool, state, command, command)
    expected, changed = desk.outcome(), [did for did, _ in serial]
    fair(before, serial, desk)
    assert changed in ([True, False], [False, False])
    for halt_at in range(places):
        before, answers, desk, _ = run_interleaved(desks, pool, state, command, command, halt_at)
        fair(before, answers, desk)
        assert sorted(did for did, _ in answers) == sorted(changed)
        assert len(desk.spent() - before[1]) <= 1, "at most one slot is spent"
        assert desk.outcome() == expected


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("state", "first", "second"), PAIRS)
def test_two_commands_at_one_moment_do_what_they_do_one_after_the_other(desks, pool, state, first, second):
    before, answers, desk, places = run_interleaved(desks, pool, state, first, second)
    fair(before, answers, desk)
    orders = [desk.outcome()]
    for halt_at in range(places):
        before, answers, desk, _ = run_interleaved(desks, pool, state, first, second, halt_at)
        fair(before, answers, desk)
        if halt_at == 0:
            orders.append(desk.outcome())
        if {first, second} <= ATOMIC:
            assert desk.outcome() in orders
