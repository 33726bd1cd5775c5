"""The command line, `import-pipeline`. Only commands that launch a run import Dagster, which takes seconds.

Exit statuses: 0 success; 1 standard output cannot be written; 2 a usage or configuration error; 3 completed with
failed items, or incomplete; 4 failed, cancelled, not ended, or owned by another process; 130 interrupted.
"""

import sys
from contextlib import suppress
from typing import Any

import click

from import_pipeline.cli.lazy import Entry, LazyGroup
from import_pipeline.cli.output.standard_output import OutputLost, guarded_output
from import_pipeline.errors import ImportInterrupted, ImportPipelineError, SettingError, UsageError
from import_pipeline.logs import keep_quiet
from import_pipeline.redaction import mask_logs, masking, redact
from import_pipeline.wording import visible

OUTPUT_LOST, USAGE, NOT_DONE, INTERRUPTED = 1, 2, 4, 130


COMMANDS = {
    "run": Entry("commands:run", "Import a source now, in this process."),
    "list": Entry("commands:list_imports", "List imports, the newest first."),
    "show": Entry("commands:show", "Show one import: figures, failed items, events."),
    "plan": Entry("commands:plan", "Estimate an import: requests and least time."),
    "request": Entry("control:request", "Request an extra import now."),
    "reschedule": Entry("control:reschedule", "Start the next scheduled import now."),
    "schedule": Entry("control:schedule", "Show the next slots of a source and its open imports."),
    "start-scheduled": Entry("control:start_scheduled", "Run what is due, without Dagster's daemon."),
    "resume": Entry("control:resume", "Lift the pause of a source's API."),
    "bookmark": Entry("bookmark:bookmark", "Show, set or reset the bookmark of a source."),
    "cancel": Entry("control:cancel", "Cancel a scheduled or running import."),
    "retry": Entry("control:retry", "Import the items and slices again that an import left."),
    "finalize": Entry("control:finalize", "Finish a stalled import that has nothing left to do."),
    "delete": Entry("control:delete", "Delete an ended import and its item rows."),
    "prune": Entry("control:prune", "Delete the item rows of old imports."),
    "new-source": Entry("new_source:new_source", "Create a source to adapt to your API, with a test."),
    "doctor": Entry("doctor:doctor", "Check the configuration and all servers."),
    "migrate": Entry("migrate:migrate", "Create or update all tables."),
    "panel": Entry("panel:panel", "Serve the panel, the web page for imports."),
    "up": Entry("up:up", "Serve the demo API, the Dagster UI and the panel."),
    "demo": Entry("demo:demo", "Import 400 items of the demo API under its limits."),
}


@click.version_option(package_name="import-pipeline")
@click.command(
    cls=LazyGroup,
    entries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def cli() -> None:
    """Copy every record of a rate-limited API into your database, on a schedule, and keep it up to date."""


def main(arguments: list[str] | None = None) -> Any:
    """Run a command. Print each expected error as one sentence on standard error."""
    mask_logs()
    keep_quiet()
    with masking():  # outermost: the masked copy of an error has a class that `_run` does not know
        sys.exit(_status_of(arguments))


def _status_of(arguments: list[str] | None) -> int:
    """Run a command and return its exit status, even if the reader of a pipe has left."""
    with guarded_output():
        try:
            status = _run(arguments)
            sys.stdout.flush()
        except OutputLost as lost:
            return _fail(str(lost), OUTPUT_LOST)
        return status


def _run(arguments: list[str] | None) -> int:
    try:
        return int(cli.main(args=arguments, standalone_mode=False) or 0)
    except click.exceptions.Abort:
        return _fail("interrupted", INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except SettingError as error:
        return _fail(str(error), USAGE, masked=True)
    except UsageError as error:
        return _fail(str(error), USAGE)
    except ImportInterrupted as error:
        return _fail(str(error), INTERRUPTED)
    except ImportPipelineError as error:
        return _fail(str(error), NOT_DONE)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)


def _fail(sentence: str, status: int, *, masked: bool = False) -> int:
    """Print the error and return the status. `masked`: it holds no secret, but an example that looks like one."""
    with suppress(OSError):  # standard error is closed: the status alone reports the error
        click.echo(f"import-pipeline: {visible(sentence if masked else redact(sentence))}", err=True)
    return status
