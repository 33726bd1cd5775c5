"""The settings, commands and options."""

from collections.abc import Mapping
from typing import Any


def settings() -> dict[str, Any]:
    """Return each setting's type and default. None: no value, or one that depends on the machine."""
    from import_pipeline import ImportSource
    from import_pipeline.settings import SETTINGS, SOURCE_SETTINGS, Settings, SourceSettings

    def row(setting: Any, fields: Mapping[str, Any], defaults: Any) -> dict[str, Any]:
        name = setting.name.removeprefix("IMPORT_PIPELINE_").lower()
        default = getattr(defaults, name, getattr(getattr(defaults, "retry", None), name, None))
        plain = default if isinstance(default, str | int | float | bool | None) else str(default)
        kind = fields[name].type
        return {"type": getattr(kind, "__name__", str(kind)), "default": plain, "secret": setting.secret}

    installation = {each.name: row(each, Settings.__dataclass_fields__, Settings) for each in SETTINGS}
    of_source = {each.name: row(each, SourceSettings.__dataclass_fields__, ImportSource) for each in SOURCE_SETTINGS}
    return {"installation": installation, "source": of_source}


def commands() -> dict[str, Any]:
    """Return each command's arguments and options."""
    import click

    from import_pipeline.cli import COMMANDS

    found = {}
    for name, entry in COMMANDS.items():
        parameters = {}
        for each in entry.load().params:
            values = f" {'|'.join(each.type.choices)}" if isinstance(each.type, click.Choice) else f" {each.type.name}"
            kind = "flag" if getattr(each, "is_flag", False) else f"value{values}"
            plain = each.default if isinstance(each.default, str | int | bool | None) else None
            default = f", default {plain}" if plain is not None and kind != "flag" else ""
            names = " ".join(each.opts) if each.param_type_name == "option" else f"argument {each.name}"
            parameters[names] = f"{kind}{', required' if each.required else ''}{default}"
        found[name] = parameters
    return found
