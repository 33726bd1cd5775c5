"""`demo`: one full import from the demo API, under limits low enough to notice."""

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from import_pipeline.cli.output import formatting, tables
from import_pipeline.cli.run_in_foreground import run_in_foreground
from import_pipeline.errors import UsageError
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.source_loader import load_sources
from import_pipeline.importer.summary import ImportSummary
from import_pipeline.settings import Settings, load_settings
from import_pipeline.sources.items import ItemsSource

SOURCE = "items"
SCRIPT = "import-pipeline"
LIMITS = "50/2 second; 200/10 second"


@click.command()
def demo() -> int:
    """Start the demo API, import its 400 items under 50 requests/2 s and 200/10 s, and print the figures."""
    from source_api.process import serve

    require_example_source(load_settings())
    console = formatting.open_console()
    formatting.say(
        console,
        f"Importing 400 items from a demo API that allows {LIMITS}. The first time, 404 requests take at least 20 s.",
    )
    with serve("--limits", LIMITS) as url:
        settings = _settings(url)
        with open_installation(settings) as installation:
            summary = run_in_foreground(installation, SOURCE)
    tables.print_summary(console, summary, ())
    _print_next_steps(console, settings, summary)
    return summary.exit_status


def require_example_source(settings: Settings) -> None:
    """Raise UsageError unless the example source is listed: the demo must not write to another source's table."""
    if not any(type(source) is ItemsSource for source in load_sources(settings)):
        raise UsageError(f"the example {SOURCE} is not listed here: unset IMPORT_PIPELINE_SOURCES for the demo")


def _settings(url: str) -> Settings:
    """Return the settings with the demo's API and limits. Dagster reads them from the environment."""
    changed = {"ITEMS_BASE_URL": url, "ITEMS_LIMITS": LIMITS}
    os.environ.update(changed)
    settings = load_settings()
    return replace(settings, environment={**settings.environment, **changed})


def _print_next_steps(console: Console, settings: Settings, summary: ImportSummary) -> None:
    console.print()
    if summary.items_unchanged_count:
        formatting.say(console, "Items unchanged since the last import were only listed, not fetched again.")
    formatting.say(console, f"The rows are in the table imported_items. All state is in {settings.home}. Next:")
    command = script_path()
    steps = {
        f"{command} show {summary.import_id}": "show this import with events and failures",
        f"{command} list": "list all imports",
        f"{command} up": "serve the Dagster UI and the panel",
    }
    width = max(map(len, steps))
    for line, meaning in steps.items():
        formatting.say(console, f"  {line:{width}}  {meaning}")


def script_path() -> str:
    """Return the command as it can be typed here: `make demo` works without an active environment."""
    if shutil.which(SCRIPT) is not None:
        return SCRIPT
    script = Path(sys.executable).with_name(SCRIPT)
    return str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script)
