"""The command line, `import-pipeline`. Dagster is imported only where a run is launched: it takes seconds.

Exit statuses: 0 all is well; 2 something must be changed first; 3 completed, but with failed items or incomplete;
4 failed, cancelled, not ended, or somebody else's; 130 interrupted.
"""

import sys
from typing import Any

import click

from import_pipeline.cli.commands import COMMANDS
from import_pipeline.errors import ImportInterrupted, ImportPipelineError, SettingError, UsageError
from import_pipeline.logs import keep_quiet
from import_pipeline.redaction import mask_logs, masking, redact

USAGE, NOT_DONE, INTERRUPTED = 2, 4, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, commands=COMMANDS)
@click.version_option(package_name="import-pipeline")
def cli() -> None:
    """Bring every item of a rate-limited API into your database, again and again, without babysitting it."""


def main(arguments: list[str] | None = None) -> Any:
    """Run a command; every error of ours is one sentence on standard error."""
    mask_logs()
    keep_quiet()
    with masking():  # outside: what it raises instead of an error is of no class that is known here
        _main(arguments)


def _main(arguments: list[str] | None) -> None:
    try:
        sys.exit(cli.main(args=arguments, standalone_mode=False) or 0)
    except click.exceptions.Abort:
        _fail("interrupted", INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except SettingError as error:
        _fail(str(error), USAGE, masked=True)
    except UsageError as error:
        _fail(str(error), USAGE)
    except ImportInterrupted as error:
        _fail(str(error), INTERRUPTED)
    except ImportPipelineError as error:
        _fail(str(error), NOT_DONE)
    except KeyboardInterrupt:
        _fail("interrupted", INTERRUPTED)


def _fail(sentence: str, status: int, *, masked: bool = False) -> None:
    """`masked`: it holds no secret, but an example that looks like one."""
    click.echo(f"import-pipeline: {sentence if masked else redact(sentence)}", err=True)
    sys.exit(status)
