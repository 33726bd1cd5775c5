"""Storage classes for `dagster.yaml`: Postgres if DATABASE_URL names one, else the state folder.

`dagster.yaml` can name a fixed folder or an environment variable that must be set, but not "the folder in the
settings". These three classes read the settings and return Dagster's own storages.

`DagsterStorage` and its relatives are the types that `dagster.yaml` accepts under these keys. Dagster exports them from
private modules only. This module, `sqlite_events`, `event_retention` and `postgres_schema` are the only ones that
import those.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import dagster as dg
import dagster_postgres.utils
from dagster._core.definitions.dependency import NodeHandle
from dagster._core.events import StepMaterializationData
from dagster._core.execution.plan.handle import StepHandle
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import DagsterPostgresException
from filelock import FileLock
from sqlalchemy import make_url
from sqlalchemy.exc import InterfaceError, OperationalError

from import_pipeline.defs.storage.postgres_schema import storage_location
from import_pipeline.defs.storage.sqlite_events import BatchingSqliteStorage
from import_pipeline.errors import DatabaseUnavailable, SettingError
from import_pipeline.settings import Settings, load_settings
from import_pipeline.state_folder import create_folder


class Storage(DagsterStorage, ConfigurableClass):
    """Runs, events and schedules: Dagster's Postgres storage or its SQLite storage."""

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """Accept `postgres_only`: refuse to start without Postgres in the settings."""
        return {"postgres_only": dg.Field(bool, default_value=False)}

    @classmethod
    def from_config_value(  # type: ignore[override]  # a factory: Dagster accepts any storage from it
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> DagsterStorage:
        """Return the storage that the settings choose. Raises SettingError or DatabaseUnavailable."""
        settings = load_settings()
        if settings.is_postgres:
            return _postgres_storage(settings, inst_data)
        if config_value["postgres_only"]:
            raise SettingError("DATABASE_URL", "postgresql://…, since this dagster.yaml is for production", "SQLite")
        create_folder(settings.home)
        folder = settings.home / "dagster" / "storage"
        folder.mkdir(parents=True, exist_ok=True)
        # Dagster creates its tables without a lock; a second process would find them incomplete.
        with FileLock(folder / "creation.lock"):
            return BatchingSqliteStorage.from_local(str(folder), inst_data=inst_data)


def _postgres_storage(settings: Settings, inst_data: ConfigurableClassData | None) -> DagsterStorage:
    """Connect to Postgres. Dagster retries for some seconds before it gives up."""
    place = storage_location(settings)
    with translating_errors(settings):
        return DagsterPostgresStorage(postgres_url=place.url, inst_data=inst_data)


@contextmanager
def translating_errors(settings: Settings) -> Iterator[None]:
    """Raise DatabaseUnavailable instead of the driver's errors if Dagster's storage does not answer."""
    try:
        with _muted_retry_logs():
            yield
    except (DagsterPostgresException, InterfaceError, OperationalError) as error:
        raise DatabaseUnavailable(_error_text(settings, error)) from error


@contextmanager
def _muted_retry_logs() -> Iterator[None]:
    """Drop Dagster's log lines about each attempt to connect; the final error is raised anyway.

    Dagster logs them by a function that gives a root logger without handlers a default one. That handler would print
    the log lines of every library from then on. A stand-in handler prevents this, and prints what Python would print
    itself.
    """
    root = logging.getLogger()
    stand_in = None if root.handlers else _DefaultOutput()
    root.addFilter(_is_no_retry)
    if stand_in is not None:
        root.addHandler(stand_in)
    try:
        yield
    finally:
        root.removeFilter(_is_no_retry)
        if stand_in is not None:
            root.removeHandler(stand_in)


class _DefaultOutput(logging.Handler):
    """Print what Python prints if the root logger has no handler: records that no logger handles, from WARNING on."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = logging.getLogger(record.name)
        while logger.parent is not None:
            if logger.handlers:
                return
            logger = logger.parent
        last = logging.lastResort
        if last is not None and record.levelno >= last.level:
            last.handle(record)


def _error_text(settings: Settings, error: Exception) -> str:
    last = error.__cause__ or error if isinstance(error, DagsterPostgresException) else error
    cause = str(getattr(last, "orig", None) or last).strip().splitlines()[0]
    if not settings.is_postgres:
        where = settings.home / "dagster"
        return f"Dagster's storage in {where} does not answer: {cause}. Check the disk and other programs that use it"
    address = make_url(settings.database_url).render_as_string(hide_password=True)
    return f"Dagster's storage in {address} does not answer: {cause}. Check DATABASE_URL and the server"


def _is_no_retry(record: logging.LogRecord) -> bool:
    return Path(record.pathname) != Path(dagster_postgres.utils.__file__)


def store_materializations(
    instance: dg.DagsterInstance, run: dg.DagsterRun, step: str, materializations: Sequence[dg.AssetMaterialization]
) -> None:
    """Write the events of a run's step in one batch.

    `log_event` would write them one by one, through every log handler, and keep each in memory until the step yields.
    """
    now = time.time()
    entries = [
        dg.EventLogEntry(  # type: ignore[no-untyped-call]
            error_info=None,
            level=logging.DEBUG,
            user_message="",
            run_id=run.run_id,
            timestamp=now,
            step_key=step,
            job_name=run.job_name,
            dagster_event=dg.DagsterEvent(
                event_type_value=dg.DagsterEventType.ASSET_MATERIALIZATION.value,
                job_name=run.job_name,
                step_handle=StepHandle(node_handle=NodeHandle(step, None)),
                event_specific_data=StepMaterializationData(each),
                message=f"Materialized value {each.asset_key.to_user_string()}, partition {each.partition}.",
            ),
        )
        for each in materializations
    ]
    instance.event_log_storage.store_event_batch(entries)


class ComputeLogs(LocalComputeLogManager):
    """The output of runs, in the state folder.

    Dagster captures it by redirecting the process's output into files that child processes print again. In a command
    this would hide the progress bar, and those children print tracebacks on Ctrl-C.
    """

    captures: bool = True  #: False: the process prints to its own terminal

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        """Capture the output while the context is open, if `captures` is set."""
        if self.captures:
            with super().capture_logs(log_key) as context:
                yield context
            return
        yield CapturedLogContext(log_key)
        # Without this file the UI waits for output instead of showing that there is none.
        complete = Path(self.complete_artifact_path(log_key))  # type: ignore[no-untyped-call]
        complete.parent.mkdir(parents=True, exist_ok=True)
        complete.touch()

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """Accept no configuration: the settings contain everything."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """Return a manager that stores logs below the state folder."""
        return cls(base_dir=str(load_settings().home / "dagster" / "logs"), inst_data=inst_data)


class ArtifactStorage(LocalArtifactStorage):
    """Dagster's scratch space, in the state folder."""

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """Accept no configuration: the settings contain everything."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """Return a storage of files below the state folder."""
        home = load_settings().home
        create_folder(home)
        folder = home / "dagster"
        folder.mkdir(parents=True, exist_ok=True)
        return cls(base_dir=str(folder), inst_data=inst_data)
