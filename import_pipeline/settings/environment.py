"""Reading of the environment and the `.env` file. Nothing else reads them."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from import_pipeline.errors import SettingError
from import_pipeline.settings.installation import SETTINGS, Settings


def default_home(folder: Path) -> Path:
    """Return the state folder: beside the nearest dagster.yaml at or above the folder, else in the folder."""
    for candidate in (folder, *folder.parents):
        if (candidate / "dagster.yaml").is_file():
            return candidate / ".import_pipeline"
    return folder / ".import_pipeline"


def _check_home(home: Path) -> None:
    """Raise SettingError for a folder whose path a database URL cannot hold."""
    if "?" in str(home) or re.search(r"%[0-9A-Fa-f]{2}", str(home)):
        expected = "a folder whose whole path has no question mark and no escape such as %20"
        raise SettingError("IMPORT_PIPELINE_HOME", expected, repr(str(home)))


def _follow_demo_api(merged: dict[str, str], port: int | None, sources: str | None) -> None:
    """Point the example source at the demo API. In a user's own list, `items` may be any source."""
    is_example = sources in {None, Settings.sources}
    if port is not None and is_example and not merged.get("ITEMS_BASE_URL", "").strip():
        merged["ITEMS_BASE_URL"] = f"http://127.0.0.1:{port}"


def read_environment(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> dict[str, str]:
    """Return all variables: the environment over the folder's `.env`. Both default to the process's own."""
    from_file = {name: value or "" for name, value in dotenv_values((folder or Path.cwd()) / ".env").items()}
    return {**from_file, **(os.environ if environment is None else environment)}


def load_settings(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Read the environment and the folder's `.env`; the environment wins. Raises SettingError.

    Both arguments default to the process's own.
    """
    folder = folder or Path.cwd()
    merged = read_environment(environment, folder)
    read = {setting.name.removeprefix("IMPORT_PIPELINE_").lower(): setting.read(merged) for setting in SETTINGS}
    _follow_demo_api(merged, read["source_api_port"], read["sources"])
    # If DAGSTER_HOME names the folder of dagster.yaml, state is beside it, whatever the current folder is.
    home = read.pop("home") or default_home(Path(merged.get("DAGSTER_HOME") or folder).resolve())
    _check_home(home)
    return Settings(
        home=home,
        database_url=read.pop("database_url") or f"sqlite:///{home / 'import_pipeline.db'}",
        environment=merged,
        **{name: value for name, value in read.items() if value is not None},
    )
