"""One action in several processes at the same moment."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

#: Modules that each process would otherwise import by itself.
PRELOAD = [
    "alembic.autogenerate",
    "alembic.command",
    "certifi.core",
    "dagster._core.definitions.external_asset",
    "dagster._core.definitions.repository_definition.repository_data_builder",
    "dagster._core.execution.execute_in_process",
    "dagster._core.executor.in_process",
    "dagster._core.instance.factory",
    "dagster._core.instance.runs.run_domain",
    "dagster._core.secrets.env_file",
    "dagster._core.storage.migration.utils",
    "dagster._core.system_config.composite_descent",
    "hypothesis",
    "import_pipeline.cli",
    "import_pipeline.cli.commands",
    "import_pipeline.cli.control",
    "import_pipeline.cli.doctor",
    "import_pipeline.cli.migrate",
    "import_pipeline.cli.run_all",
    "import_pipeline.cli.run_in_foreground",
    "import_pipeline.definitions",
    "import_pipeline.defs.in_process",
    "import_pipeline.importer.slices.first_slice",
    "import_pipeline.sources.items",
    "import_pipeline.tracking.user_rows.user_tables",
    "import_pipeline_tests.support.database_servers",
    "psycopg2",
    "pytest",
    "rich._emoji_codes",
    "source_api.__main__",
    "upath.implementations.local",
]

#: The barrier at which the tasks of a pool wait for each other.
meeting: list[Any] = []


def run_in_parallel(count: int, action: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Run `action(*arguments)` in `count` processes; return their results. Raises the error of any of them.

    They wait for each other before they begin. The action is a module-level function.
    """
    context = multiprocessing.get_context("forkserver")  # a fork of a process with threads may hang
    context.set_forkserver_preload(PRELOAD)
    barrier = context.Barrier(count)
    with ProcessPoolExecutor(count, mp_context=context, initializer=_meet_at, initargs=(barrier,)) as pool:
        return [future.result() for future in [pool.submit(_begin, action, *arguments) for _ in range(count)]]


def _meet_at(barrier: Any) -> None:
    meeting.append(barrier)


def _begin(action: Callable[..., Any], *arguments: Any) -> Any:
    """Wait in the task: else a fast process would take the task of one that starts slowly."""
    meeting[0].wait()
    return action(*arguments)
