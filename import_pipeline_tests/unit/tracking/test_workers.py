"""The process that works on an import, and the check that it still exists."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from import_pipeline.tracking.workers import Worker, is_alive, machine, this_process
from import_pipeline_tests.support.parallel import run_in_parallel

NO_PROCESS = 2**22 + 1  # above the highest pid that Linux gives


def now():
    return datetime.now(UTC)


@contextmanager
def sleeper(program="sleep"):
    process = subprocess.Popen([program, "60"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_this_process_is_the_same_at_every_call():
    worker = this_process()
    assert worker == Worker(id=worker.id, host=machine(), pid=os.getpid(), began=worker.began)
    assert this_process() is worker
    assert re.fullmatch(r"[0-9a-f]{32}", worker.id)


def test_a_machine_is_its_name_and_a_mark():
    assert re.fullmatch(re.escape(socket.gethostname()) + r"/[0-9a-f]{6}", machine())


def test_other_processes_are_other_workers_on_the_same_machine():
    found = [*run_in_parallel(3, this_process), this_process()]
    assert {worker.host for worker in found} == {machine()}
    assert len({worker.id for worker in found}) == len({worker.pid for worker in found}) == 4


def test_a_fork_is_another_worker():
    program = (
        "import os; from import_pipeline.tracking.workers import this_process as me\n"
        "print(me().id, flush=True)\n"
        "os.fork() or print(me().id, me().pid == os.getpid(), flush=True)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert said[0] != said[1]
    assert said[2] == "True"


@pytest.mark.parametrize(
    ("seen_before", "alive"),
    [
        pytest.param(timedelta(0), True, id="seen just now"),
        pytest.param(timedelta(seconds=1), True, id="within the coarseness of clocks"),
        pytest.param(timedelta(hours=1), False, id="began after it was seen: the number was given again"),
    ],
)
def test_a_reused_number_does_not_look_alive(seen_before, alive):
    with sleeper() as process:
        assert is_alive(machine(), process.pid, seen_at=now() - seen_before) is alive


@pytest.mark.parametrize("set_by", [timedelta(hours=-30), timedelta(0), timedelta(hours=30)])
def test_a_process_is_known_by_the_tick_at_which_it_began_whatever_the_clock_shows(set_by):
    me = this_process()
    assert me.began is not None
    for began, alive in ((me.began, True), (me.began - 1, False), (me.began + 1, False)):
        assert is_alive(me.host, me.pid, seen_at=now() + set_by, process_began=began) is alive


def test_a_killed_process_is_dead_before_and_after_its_parent_looks():
    with sleeper() as process:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_alive(machine(), process.pid, seen_at=now()) is False
        process.wait()
        assert is_alive(machine(), process.pid, seen_at=now()) is False


def test_a_stopped_process_is_alive():
    with sleeper() as process:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        assert is_alive(machine(), process.pid, seen_at=now()) is True


def test_a_processs_name_cannot_confuse(tmp_path):
    program = tmp_path / ") Z 1 ("
    shutil.copy(shutil.which("sleep"), program)
    with sleeper(program) as process:
        assert is_alive(machine(), process.pid, seen_at=now()) is True


def test_a_process_of_another_user_is_alive():
    assert is_alive(machine(), 1, seen_at=now()) is True


def test_an_unused_pid_is_dead():
    assert is_alive(machine(), NO_PROCESS, seen_at=now()) is False


@pytest.mark.parametrize("host", [f"{socket.gethostname()}/000000", socket.gethostname(), "elsewhere/3fa91c"])
def test_of_another_machines_process_nothing_is_known(host):
    assert is_alive(host, os.getpid(), seen_at=now()) is None


def test_without_proc_the_process_that_has_the_pid_counts(tmp_path):
    long_ago = now() - timedelta(days=365)
    assert is_alive(machine(), os.getpid(), seen_at=long_ago, proc=tmp_path) is True
    assert is_alive(machine(), NO_PROCESS, seen_at=long_ago, proc=tmp_path) is False
