"""The Dagster instance that a command of ours uses: the same one as Dagster's own commands given in the same place."""

import os
import shutil
from pathlib import Path

import dagster as dg

from import_pipeline.settings import Settings

FILE = "dagster.yaml"


def instance_folder(settings: Settings) -> Path:
    """The folder whose dagster.yaml counts: DAGSTER_HOME, else the nearest at or above the current folder.

    Where there is none, as outside a checkout, ours is laid into the state folder.
    """
    if home := os.environ.get("DAGSTER_HOME"):
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


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance, to be used as a context manager."""
    return dg.DagsterInstance.from_config(str(instance_folder(settings)))
