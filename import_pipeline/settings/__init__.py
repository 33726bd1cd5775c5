"""The tables of settings, and the only module that reads the environment.

`load_settings()` reads the environment and a `.env` file in the current folder; the environment wins. Everything else
takes the `Settings` object. The settings of a source start with its name: `ITEMS_LIMITS` belongs to the source `items`.
"""

from import_pipeline.settings.environment import default_home, load_settings, read_environment
from import_pipeline.settings.installation import SETTINGS, Settings
from import_pipeline.settings.setting import Setting
from import_pipeline.settings.source import SOURCE_SETTINGS, SourceSettings, variable_prefix

__all__ = [
    "SETTINGS",
    "SOURCE_SETTINGS",
    "Setting",
    "Settings",
    "SourceSettings",
    "default_home",
    "load_settings",
    "read_environment",
    "variable_prefix",
]
