"""Files and connections that this process may still open."""

import errno
import os
from pathlib import Path

#: Kept for databases, logs, Dagster and what the user's code opens.
RESERVE = 48
OPEN = Path("/proc/self/fd")
#: What to do where there are too few.
ADVICE = "too many open files for this process: raise the limit (`ulimit -n`), or lower CONCURRENCY and CEILING"


def limit() -> int | None:
    """How many the process may have open; None where the platform does not tell or sets no limit."""
    if os.name == "nt":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def in_use() -> int:
    """How many it has open; zero where the platform does not tell."""
    try:
        return len(os.listdir(OPEN))
    except OSError:
        return 0


def room() -> int | None:
    """How many connections it may open beside what it needs else; None: any number."""
    most = limit()
    return None if most is None else max(1, most - in_use() - RESERVE)


def are_too_few(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, says that no further file could be opened."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
            return True
        error = error.__cause__ or error.__context__
    return False
