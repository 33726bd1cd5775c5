"""`doctor`: check the configuration and all servers. Each finding says how to fix the problem."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

import click

from import_pipeline.cli import doctor_checks, doctor_source
from import_pipeline.cli.doctor_checks import CheckResult
from import_pipeline.cli.options import as_json
from import_pipeline.cli.output import formatting
from import_pipeline.cli.output.json import print_json
from import_pipeline.errors import ImportPipelineError
from import_pipeline.importer.source_loader import load_sources
from import_pipeline.redaction import redact
from import_pipeline.settings import Settings, load_settings, read_environment


class Level(StrEnum):
    """The severity of a finding."""

    OK = "ok"  #: works
    NOTE = "note"  #: works, but may not last
    FAIL = "fail"  #: does not work
    UNCHECKED = "unchecked"  #: could not be checked, because something it needs does not work


MARKS = {
    Level.OK: "[green]ok[/green]  ",
    Level.NOTE: "[yellow]note[/yellow]",
    Level.FAIL: "[red]FAIL[/red]",
    Level.UNCHECKED: "[yellow]----[/yellow]",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one check."""

    name: str
    level: Level
    message: str

    @property
    def ok(self) -> bool:
        """True if it works."""
        return self.level in {Level.OK, Level.NOTE}


@click.command()
@as_json
def doctor(as_json: bool) -> int:
    """Check settings, database, rate-limit store, Dagster, disk, panel and sources; say how to fix each problem.

    Exits with status 4 if something does not work. A note is about something that works, but may not last.
    """
    findings = list(_findings())
    healthy = all(finding.ok for finding in findings)
    if as_json:
        found = [{"name": each.name, "ok": each.ok, **asdict(each)} for each in findings]
        print_json({"healthy": healthy, "findings": found})
    else:
        console = formatting.open_console()
        for finding in findings:
            formatting.say(console, f"{MARKS[finding.level]} {finding.name}: {formatting.escape(finding.message)}")
    return 0 if healthy else 4


def _findings() -> Iterator[Finding]:
    try:
        settings = load_settings()
    except ImportPipelineError as error:
        yield Finding(name="settings", level=Level.FAIL, message=str(error))
        yield from _misspellings()
        yield _unchecked("all else", "the settings cannot be read")
        return
    yield from _check("settings", lambda: doctor_checks.state(settings))
    yield from _check("sources", lambda: doctor_checks.sources(settings))
    yield from _misspellings()
    database = list(_check("database", lambda: doctor_checks.database(settings)))
    yield from database
    store = list(_check("limiter store", lambda: doctor_checks.store(settings)))
    yield from store
    if settings.is_postgres and not _all_ok(database):
        message = "its storage is in the database, which does not work, see above"
        yield Finding(name="Dagster", level=Level.FAIL, message=message)
    else:
        yield from _check("Dagster", lambda: doctor_checks.dagster(settings))
    yield from _check("disk", lambda: doctor_checks.disk(settings))
    yield from _check("panel", lambda: doctor_checks.panel(settings))
    # A source's check sends a request under the limits, and needs its table.
    failed = [name for name, found in {"database": database, "limiter store": store}.items() if not _all_ok(found)]
    yield from _each_source(settings, failed)


def _misspellings() -> Iterator[Finding]:
    for note in doctor_checks.misspellings(read_environment()):
        yield Finding(name="settings", level=Level.NOTE, message=note)


def _unchecked(name: str, reason: str) -> Finding:
    return Finding(name=name, level=Level.UNCHECKED, message=f"not checked, because {reason}")


def _each_source(settings: Settings, failed: Sequence[str]) -> Iterator[Finding]:
    try:
        sources = load_sources(settings)
    except ImportPipelineError:
        return  # reported by the check of the sources
    reason = f"the {' and the '.join(failed)} {'does' if len(failed) == 1 else 'do'} not work"
    for source in sources:
        if failed:
            yield _unchecked(f"source {source.name}", f"{reason}, see above")
            continue
        yield from _check(f"source {source.name}", lambda source=source: doctor_source.source(settings, source))  # type: ignore[misc]


def _all_ok(findings: Sequence[Finding]) -> bool:
    return all(finding.ok for finding in findings)


def _check(name: str, check: Callable[[], CheckResult]) -> Iterator[Finding]:
    """Yield the result of the check, then its notes."""
    try:
        result = check()
    except ImportPipelineError as error:
        yield Finding(name=name, level=Level.FAIL, message=redact(str(error)))
    except OSError as error:
        what = f"{error.filename or 'the state folder'}: {error.strerror}"
        message = f"{what}. Check the permissions of IMPORT_PIPELINE_HOME"
        yield Finding(name=name, level=Level.FAIL, message=message)
    else:
        yield Finding(name=name, level=Level.OK, message=redact(result.message))
        for note in result.notes:
            yield Finding(name=name, level=Level.NOTE, message=redact(note))
