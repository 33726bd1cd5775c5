"""`demo`: one full import from the demo API, with limits low enough to be felt."""

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from import_pipeline.cli.output import formatting, tables
from import_pipeline.cli.run_in_foreground import carry_out_here
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
    """Start the demo API, import its 400 items under 50 requests/2 s and 200/10 s, and tell how it went."""
    from source_api.process import serve

    require_example(load_settings())
    console = formatting.open_console()
    formatting.say(
        console, f"A demo API with 400 items allows {LIMITS}; 4 list pages and 400 details take at least 20 s."
    )
    with serve("--limits", LIMITS) as url:
        settings = _settings(url)
        with open_installation(settings) as installation:
            summary = carry_out_here(installation, SOURCE)
    tables.print_summary(console, summary, ())
    _where_to_look(console, settings, summary)
    return summary.exit_status


def require_example(settings: Settings) -> None:
    """Nothing of the demo shall get into the table of a source of one's own. Raises UsageError."""
    if not any(type(source) is ItemsSource for source in load_sources(settings)):
        raise UsageError(f"the example {SOURCE} is not listed here: unset IMPORT_PIPELINE_SOURCES for the demo")


def _settings(url: str) -> Settings:
    """The usual settings, with this demo's API and limits. Dagster's parts of this process read the environment."""
    changed = {"ITEMS_BASE_URL": url, "ITEMS_LIMITS": LIMITS}
    os.environ.update(changed)
    settings = load_settings()
    return replace(settings, environment={**settings.environment, **changed})


def _where_to_look(console: Console, settings: Settings, summary: ImportSummary) -> None:
    console.print()
    if summary.items_unchanged_count:
        formatting.say(console, "What has not changed since the last import was not fetched again, only listed.")
    formatting.say(console, f"The imported rows are in the table imported_items; all state lies in {settings.home}.")
    command = script_shown()
    told = {
        f"{command} show {summary.import_id}": "this import, its events and failures",
        f"{command} list": "all imports",
        f"{command} up": "the Dagster UI, with this run in it",
    }
    width = max(map(len, told))
    for line, meaning in told.items():
        formatting.say(console, f"  {line:{width}}  {meaning}")


def script_shown() -> str:
    """The command line as it can be typed here: `make demo` needs no active environment, and leaves none behind."""
    if shutil.which(SCRIPT) is not None:
        return SCRIPT
    script = Path(sys.executable).with_name(SCRIPT)
    return str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script)
