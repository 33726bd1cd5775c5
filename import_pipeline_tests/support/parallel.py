"""The same action in several processes at the same moment."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

#: What the processes would otherwise import one by one.
PRELOAD = [
    "alembic.autogenerate",
    "alembic.command",
    "hypothesis",
    "import_pipeline.cli",
    "import_pipeline.defs.in_process",
    "import_pipeline.sources.items",
    "import_pipeline.tracking.user_rows.user_tables",
    "import_pipeline_tests.support.database_servers",
    "psycopg2",
    "pytest",
    "source_api.__main__",
]

#: In each process of a pool: where its task waits for those of the others.
meeting: list[Any] = []


def run_in_parallel(count: int, action: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What each of `count` processes got from `action(*arguments)`; an error of one of them is raised here.

    They wait for each other before they begin. The action is a function at the top of a module.
    """
    context = multiprocessing.get_context("forkserver")  # a fork of a process with threads may hang
    context.set_forkserver_preload(PRELOAD)
    barrier = context.Barrier(count)
    with ProcessPoolExecutor(count, mp_context=context, initializer=_meet_at, initargs=(barrier,)) as pool:
        return [future.result() for future in [pool.submit(_begin, action, *arguments) for _ in range(count)]]


def _meet_at(barrier: Any) -> None:
    meeting.append(barrier)


def _begin(action: Callable[..., Any], *arguments: Any) -> Any:
    """Waits in the task itself: a quick process would else take the task of one that is slow to start."""
    meeting[0].wait()
    return action(*arguments)
