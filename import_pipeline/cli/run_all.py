"""`run --all`: import every listed source, one after another. A source that fails does not stop the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from import_pipeline.cli.run_in_foreground import print_failure_reason, print_outcome, run_in_foreground
from import_pipeline.errors import ImportInterrupted, ImportPipelineError
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.slices.first_slice import parents_first
from import_pipeline.importer.summary import ImportSummary
from import_pipeline.importer.user_code.hooks import describe_error
from import_pipeline.redaction import redact
from import_pipeline.wording import plural

#: Exit statuses of one source, the worst first; `run --all` ends with the worst.
FAILED, INCOMPLETE = 4, 3


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of one source: its summary, or why there is none."""

    source: str
    summary: ImportSummary | None = None
    error: str | None = None

    @property
    def exit_status(self) -> int:
        """The exit status that `run` would have had for this source."""
        return FAILED if self.summary is None else self.summary.exit_status

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        summary = None if self.summary is None else self.summary.as_json()
        return {"source": self.source, "exit_status": self.exit_status, "error": self.error, "import": summary}


def run_all(
    installation: Installation, unloadable: Mapping[str, ImportPipelineError], *, show: bool, **options: Any
) -> list[Outcome]:
    """Import each source in turn and print its outcome. Raises ImportInterrupted and KeyboardInterrupt.

    `unloadable`: sources that cannot be configured, with the reason; each counts as failed. `show`: display progress.
    """
    outcomes = [_failed(name, error) for name, error in unloadable.items()]
    for number, source in enumerate(parents_first(installation.sources), start=1):
        if show:
            click.echo(f"{source.name}, {number} of {len(installation.sources)}", err=True)
        try:
            summary = run_in_foreground(installation, source.name, show=show, **options)
        except (ImportInterrupted, KeyboardInterrupt):
            left = len(installation.sources) - number
            if left:
                click.echo(f"{plural(left, 'source')} did not run. Run the command again.", err=True)
            raise
        except Exception as error:  # noqa: BLE001 - whatever a source's code raises, the others run
            outcomes.append(_failed(source.name, error))
            continue
        if show:
            print_outcome(installation, summary)
        print_failure_reason(summary)
        outcomes.append(Outcome(source=source.name, summary=summary))
    return outcomes


def _failed(name: str, error: Exception) -> Outcome:
    reason = redact(str(error)) if isinstance(error, ImportPipelineError) else describe_error(error)
    click.echo(f"import-pipeline: {reason if name in reason else f'{name}: {reason}'}", err=True)
    return Outcome(source=name, error=reason)


def count_sentence(outcomes: list[Outcome]) -> str:
    """Return `3 sources: 1 completed, 1 incomplete or with failed items, 1 failed (orders_beta).`"""
    failed = [each.source for each in outcomes if each.exit_status >= FAILED]
    partial = [each.source for each in outcomes if each.exit_status == INCOMPLETE]
    parts = [f"{len(outcomes) - len(failed) - len(partial)} completed"]
    if partial:
        parts.append(f"{len(partial)} incomplete or with failed items ({', '.join(partial)})")
    if failed:
        parts.append(f"{len(failed)} failed ({', '.join(failed)})")
    return f"{plural(len(outcomes), 'source')}: {', '.join(parts)}."
