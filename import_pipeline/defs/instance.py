"""The Dagster instance that the commands use: the same as Dagster's own commands use in the same folder."""

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import yaml  # type: ignore[import-untyped]  # its stubs are a separate package

from import_pipeline.defs.storage.classes import translating_errors
from import_pipeline.errors import SettingError, UsageError
from import_pipeline.settings import Settings
from import_pipeline.state_folder import create_folder

FILE = "dagster.yaml"


def instance_folder(settings: Settings) -> Path:
    """Return the folder whose dagster.yaml counts: DAGSTER_HOME, else the nearest one at or above the current folder.

    If there is none, as outside a checkout, copy the packaged file into the state folder. Raises SettingError.
    """
    if home := os.environ.get("DAGSTER_HOME"):
        if not Path(home).is_absolute() or not Path(home).is_dir():
            raise SettingError("DAGSTER_HOME", f"the whole path of the folder that holds {FILE}", repr(home))
        return Path(home)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / FILE).is_file():
            return folder
    create_folder(settings.home)
    folder = settings.home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / FILE).exists():
        shutil.copyfile(packaged_file(), folder / FILE)
    return folder


def packaged_file() -> Path:
    """Return the packaged dagster.yaml: beside this module in a wheel, at the top of a checkout."""
    beside = Path(__file__).parent / FILE
    return beside if beside.is_file() else Path(__file__).parents[2] / FILE


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Open the instance. Raises UsageError if its configuration is wrong, DatabaseUnavailable if its storage is."""
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
    """Return when a Dagster daemon last sent a heartbeat, in seconds since 1970; None if none ever did."""
    return max((beat.timestamp for beat in instance.get_daemon_heartbeats().values()), default=None)


def daemon_ids(settings: Settings) -> frozenset[str | None]:
    """Return the ids of the daemons whose heartbeats are stored. Raises UsageError, DatabaseUnavailable."""
    with open_instance(settings) as instance, translating_errors(settings):
        return frozenset(beat.daemon_id for beat in instance.get_daemon_heartbeats().values())


def delete_daemon_heartbeats(settings: Settings, kept: Collection[str | None]) -> None:
    """Delete the stored heartbeats of daemons that have ended, so that they do not count as running for a while.

    Heartbeats of the daemons in `kept` stay. Any other daemon that still runs sends its next one within 30 s. Raises
    UsageError, DatabaseUnavailable.
    """
    with open_instance(settings) as instance, translating_errors(settings):
        beats = instance.get_daemon_heartbeats().values()
        instance.wipe_daemon_heartbeats()
        for beat in beats:
            if beat.daemon_id in kept:
                instance.add_daemon_heartbeat(beat)


def configuration_warnings(instance: dg.DagsterInstance) -> list[str]:
    """Return each setting of its dagster.yaml that makes Dagster and the sensor conflict, with the remedy."""
    notes = []
    if instance.run_retries_enabled and instance.run_retries_max_retries:
        notes.append("run_retries is on, but the sensor resumes imports itself: set run_retries.enabled to false")
    if instance.run_monitoring_enabled and instance.run_monitoring_max_resume_run_attempts:
        notes.append("run_monitoring resumes runs, but the sensor does that itself: set max_resume_run_attempts to 0")
    if not isinstance(instance.run_coordinator, dg.QueuedRunCoordinator):
        notes.append("it has no run queue, so two runs of a source can start together, one of them in excess")
    return notes
