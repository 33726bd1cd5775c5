"""The Dagster instance that a command of ours uses: the same one as Dagster's own commands given in the same place."""

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own

from import_pipeline.defs.storage.classes import translating_errors
from import_pipeline.errors import SettingError, UsageError
from import_pipeline.settings import Settings

FILE = "dagster.yaml"


def instance_folder(settings: Settings) -> Path:
    """The folder whose dagster.yaml counts: DAGSTER_HOME, else the nearest at or above the current folder.

    Where there is none, as outside a checkout, ours is laid into the state folder. Raises SettingError.
    """
    if home := os.environ.get("DAGSTER_HOME"):
        if not Path(home).is_absolute() or not Path(home).is_dir():
            raise SettingError("DAGSTER_HOME", f"the whole path of the folder that holds {FILE}", repr(home))
        return Path(home)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / FILE).is_file():
            return folder
    folder = settings.home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / FILE).exists():
        shutil.copyfile(packaged_file(), folder / FILE)
    return folder


def packaged_file() -> Path:
    """The dagster.yaml that comes with the package: beside this module in a wheel, at the top of a checkout."""
    beside = Path(__file__).parent / FILE
    return beside if beside.is_file() else Path(__file__).parents[2] / FILE


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The instance. Raises UsageError where it is configured wrongly, DatabaseUnavailable."""
    folder = instance_folder(settings)
    try:
        with translating_errors(settings):
            instance = dg.DagsterInstance.from_config(str(folder))
    except (dg.DagsterError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())
        raise UsageError(f"{folder / FILE} is not what Dagster expects of it: {problem}") from error
    with instance:
        yield instance


def last_daemon_heartbeat(instance: dg.DagsterInstance) -> float | None:
    """When one of Dagster's daemons gave its last sign of life, in seconds since 1970; None: never."""
    return max((beat.timestamp for beat in instance.get_daemon_heartbeats().values()), default=None)


def daemon_ids(settings: Settings) -> frozenset[str | None]:
    """The daemons that gave the signs of life there are. Raises UsageError, DatabaseUnavailable."""
    with open_instance(settings) as instance, translating_errors(settings):
        return frozenset(beat.daemon_id for beat in instance.get_daemon_heartbeats().values())


def delete_daemon_heartbeats(settings: Settings, kept: Collection[str | None]) -> None:
    """Take back the signs of life of daemons that have ended: they leave them, and would be counted on for a while.

    Those of the daemons in `kept` stay. Any other that lives after all gives its next within 30 s. Raises UsageError,
    DatabaseUnavailable.
    """
    with open_instance(settings) as instance, translating_errors(settings):
        beats = instance.get_daemon_heartbeats().values()
        instance.wipe_daemon_heartbeats()
        for beat in beats:
            if beat.daemon_id in kept:
                instance.add_daemon_heartbeat(beat)


def configuration_warnings(instance: dg.DagsterInstance) -> list[str]:
    """What in its dagster.yaml would let Dagster and our sensor get in each other's way, each with how to mend it."""
    notes = []
    if instance.run_retries_enabled and instance.run_retries_max_retries:
        notes.append(
            "its run_retries are on: our sensor goes on with imports by itself, set run_retries.enabled to false"
        )
    if instance.run_monitoring_enabled and instance.run_monitoring_max_resume_run_attempts:
        notes.append(
            "its run_monitoring resumes runs: our sensor does that by itself, set max_resume_run_attempts to 0"
        )
    if not isinstance(instance.run_coordinator, dg.QueuedRunCoordinator):
        notes.append("it has no run queue: two runs of a source start at once, and one of them has nothing to do")
    return notes
