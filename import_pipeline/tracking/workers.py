"""Workers: the processes that execute imports, and the check that one still exists."""

import hashlib
import os
import socket
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

#: Clock ticks are coarse and clocks are set: a process counts as a different one only if it began this much later.
COARSENESS = timedelta(seconds=2)
PROC = Path("/proc")


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One process. Its id is new at each start, so that a reused pid is never mistaken for it."""

    id: str  #: unique, hexadecimal
    host: str  #: see `machine`
    pid: int
    began: int | None = None  #: start of the process in clock ticks since boot; None if the platform does not report it


def this_process() -> Worker:
    """Return this process: the same worker at every call, a new one after a fork."""
    return _worker(os.getpid())


@cache
def _worker(pid: int) -> Worker:
    return Worker(id=uuid.uuid4().hex, host=machine(), pid=pid, began=_ticks(_stat(pid, PROC)))


@cache
def machine() -> str:
    """Return the host's name and a fingerprint of its boot and pid namespace, such as `build-7/3fa91c`.

    The name alone is not enough: containers may share their host's, and laptops often have equal names. The fingerprint
    changes with every boot; then only the lease shows that an earlier worker is dead.
    """
    marks = [_read(PROC / "sys/kernel/random/boot_id") or f"{uuid.getnode():x}", _pid_namespace()]
    return f"{socket.gethostname()}/{hashlib.sha256(' '.join(marks).encode()).hexdigest()[:6]}"


def is_alive(
    host: str, pid: int, *, seen_at: datetime, process_began: int | None = None, proc: Path = PROC
) -> bool | None:
    """Return True if the process that had this pid at `seen_at` still exists; None if it is on another machine.

    A process with another start only reuses the pid. If the start is unknown, a process that began after `seen_at`
    does. Without /proc, the process that has the pid now counts.
    """
    if host != machine():
        return None
    try:
        with suppress(PermissionError):  # it exists, and belongs to another user
            os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = _stat(pid, proc)
    if stat[:1] == ["Z"]:  # a zombie: dead, but not reaped by its parent yet
        return False
    ticks = _ticks(stat)
    if ticks is not None and process_began is not None:
        return ticks == process_began
    began = _began(ticks)
    return began is None or began <= seen_at + COARSENESS


def _ticks(stat: list[str]) -> int | None:
    """Return the start of the process in clock ticks since boot (field 22); None if the platform does not report it."""
    return int(stat[19]) if len(stat) >= 20 else None


def _began(ticks: int | None) -> datetime | None:
    """Return a start in clock ticks as wall-clock time."""
    if ticks is None:
        return None
    # Not /proc/uptime, which may be a container's own while the ticks are the host's.
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return datetime.fromtimestamp(time.time() - age, UTC)


def _stat(pid: int, proc: Path) -> list[str]:
    """Return the fields of proc_pid_stat(5) from the third on; the second is a name in brackets with any characters."""
    return _read(proc / str(pid) / "stat").rpartition(")")[2].split()


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return str((PROC / "self/ns/pid").readlink())
    except OSError:
        return ""
