"""Which process works on an import, and whether it still exists."""

import hashlib
import os
import socket
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

#: Clock ticks are coarse and clocks are set: a process counts as another one only if it began that much later.
COARSENESS = timedelta(seconds=2)
PROC = Path("/proc")


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One process at work. The id is new with each start, so that a reused pid is never mistaken for it."""

    id: str  #: unique, hexadecimal
    host: str  #: see `machine`
    pid: int
    began: int | None = None  #: when the process began, in clock ticks since boot; None if the platform does not say


def this_process() -> Worker:
    """This process: the same at every call, and another one after a fork."""
    return _worker(os.getpid())


@cache
def _worker(pid: int) -> Worker:
    return Worker(id=uuid.uuid4().hex, host=machine(), pid=pid, began=_ticks(_stat(pid, PROC)))


@cache
def machine() -> str:
    """The host's name and a mark of the set of processes that its pids belong to, as in `build-7/3fa91c`.

    The name alone is not enough: containers may share their host's, and laptops are often named alike. The mark
    changes with every boot, after which nobody is taken for alive or dead before the lease ends.
    """
    marks = [_read(PROC / "sys/kernel/random/boot_id") or f"{uuid.getnode():x}", _pid_namespace()]
    return f"{socket.gethostname()}/{hashlib.sha256(' '.join(marks).encode()).hexdigest()[:6]}"


def is_alive(
    host: str, pid: int, *, seen_at: datetime, process_began: int | None = None, proc: Path = PROC
) -> bool | None:
    """Whether the process that was seen under this pid at that time still exists; None for another machine's.

    A process that began at another moment has only inherited the number; without that moment, one that began after the
    other was seen by the wall clock. Without /proc, the process that has the number now counts.
    """
    if host != machine():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it exists, and belongs to somebody else
    stat = _stat(pid, proc)
    if stat[:1] == ["Z"]:  # dead, but its parent has not looked yet
        return False
    ticks = _ticks(stat)
    if ticks is not None and process_began is not None:
        return ticks == process_began
    began = _began(ticks)
    return began is None or began <= seen_at + COARSENESS


def _ticks(stat: list[str]) -> int | None:
    """When the process began, in clock ticks since boot (field 22); None if the platform does not say."""
    return int(stat[19]) if len(stat) >= 20 else None


def _began(ticks: int | None) -> datetime | None:
    """The same by the wall clock."""
    if ticks is None:
        return None
    # Not /proc/uptime, which may be a container's own while the ticks are the host's.
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return datetime.fromtimestamp(time.time() - age, UTC)


def _stat(pid: int, proc: Path) -> list[str]:
    """proc_pid_stat(5) from the third field on; the second is a name in brackets that may hold anything."""
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
