"""The number of files and connections that this process may still open."""

import errno
import os
from pathlib import Path

#: Reserved for databases, logs, Dagster and the user's code.
RESERVE = 48
OPEN = Path("/proc/self/fd")
#: Advice if there are too few.
ADVICE = "too many open files for this process: raise the limit (`ulimit -n`), or lower CONCURRENCY and CEILING"


def limit() -> int | None:
    """Return how many files the process may have open; None if unlimited or unknown."""
    if os.name == "nt":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def in_use() -> int:
    """Return how many files it has open; 0 if unknown."""
    try:
        return len(os.listdir(OPEN))
    except OSError:
        return 0


def room() -> int | None:
    """Return how many connections it may open beside its reserve; None for any number."""
    most = limit()
    return None if most is None else max(1, most - in_use() - RESERVE)


def are_too_few(error: BaseException | None) -> bool:
    """Return True if an error or one of its causes means that no further file could be opened."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
            return True
        error = error.__cause__ or error.__context__
    return False
