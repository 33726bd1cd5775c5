"""Which process works on an import, and whether it still exists."""

import os
import socket
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

#: Clock ticks and boot times are coarse: a process counts as another one only if it began that much later.
COARSENESS = timedelta(seconds=2)


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One process at work. The id is new with each start, so that a reused pid is never mistaken for it."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)


@cache
def this_process() -> Worker:
    """This process, the same at every call."""
    return Worker()


def is_alive(host: str, pid: int, *, seen_at: datetime) -> bool | None:
    """Whether the process that was seen under this pid at that time still exists; None for another host's.

    A process that began after it was seen has only inherited the number.
    """
    if host != socket.gethostname():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it exists, and belongs to somebody else
    if _is_zombie(pid):
        return False
    began = started_at(pid)
    return began is None or began <= seen_at + COARSENESS


def started_at(pid: int) -> datetime | None:
    """When the process began; None where the platform does not tell (proc_pid_stat(5), field 22)."""
    try:
        ticks = int(_stat(pid)[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, IndexError, ValueError):
        return None
    age = uptime - ticks / os.sysconf("SC_CLK_TCK")
    return datetime.fromtimestamp(time.time() - age, UTC)


def _is_zombie(pid: int) -> bool:
    """Dead, but its parent has not looked yet."""
    try:
        return _stat(pid)[0] == "Z"
    except (OSError, IndexError):
        return False


def _stat(pid: int) -> list[str]:
    """The fields from the third on; the second is a name in brackets that may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
