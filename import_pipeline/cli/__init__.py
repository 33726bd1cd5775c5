"""The command line, `import-pipeline`. Dagster is imported only where a run is launched: it takes seconds.

Exit statuses: 0 all is well; 1 standard output cannot be written; 2 something must be changed first; 3 completed, but
with failed items or incomplete; 4 failed, cancelled, not ended, or another process has it; 130 interrupted.
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
    "plan": Entry("commands:plan", "Say what an import would cost: requests and time."),
    "request": Entry("control:request", "Ask for an extra import now."),
    "reschedule": Entry("control:reschedule", "Move the next slot's import to now."),
    "schedule": Entry("control:schedule", "Show the slots of a source, and its open imports."),
    "start-scheduled": Entry("control:start_scheduled", "Apply the scheduling rules once, and run what is due."),
    "resume": Entry("control:resume", "Lift the pause of a source's API."),
    "cancel": Entry("control:cancel", "Cancel a scheduled or running import."),
    "retry": Entry("control:retry", "Import again what an import has left failed or undone."),
    "finalize": Entry("control:finalize", "End a running import that has no worker."),
    "delete": Entry("control:delete", "Delete an ended import, with its item rows."),
    "prune": Entry("control:prune", "Drop the item rows of old imports."),
    "new-source": Entry("new_source:new_source", "Write a source to adapt to your API, and its test."),
    "doctor": Entry("doctor:doctor", "Check that everything is in place."),
    "migrate": Entry("migrate:migrate", "Make or update all tables."),
    "panel": Entry("panel:panel", "Serve the page that shows imports."),
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
    """Bring every item of a rate-limited API into your database, again and again, without babysitting it."""


def main(arguments: list[str] | None = None) -> Any:
    """Run a command; every error of ours is one sentence on standard error."""
    mask_logs()
    keep_quiet()
    with masking():  # outside: what it raises instead of an error is of no class that is known here
        sys.exit(_status_of(arguments))


def _status_of(arguments: list[str] | None) -> int:
    """Run a command, with its own exit status even if the reader of a pipe has left."""
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
    """Print the error; `masked`: it holds no secret, but an example that looks like one."""
    with suppress(OSError):  # then the status alone says it
        click.echo(f"import-pipeline: {visible(sentence if masked else redact(sentence))}", err=True)
    return status
