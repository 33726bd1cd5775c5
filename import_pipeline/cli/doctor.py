"""`doctor`: is everything in place? Each finding says how to mend it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

import click

from import_pipeline.cli import doctor_checks
from import_pipeline.cli.doctor_checks import CheckResult
from import_pipeline.cli.options import as_json
from import_pipeline.cli.output import formatting
from import_pipeline.cli.output.json import print_json
from import_pipeline.errors import ImportPipelineError
from import_pipeline.importer.source_loader import load_sources
from import_pipeline.redaction import redact
from import_pipeline.settings import Settings, load_settings, read_environment


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"  #: as it should be
    NOTE = "note"  #: it works, and will not always
    FAIL = "fail"  #: it does not work
    UNCHECKED = "unchecked"  #: nobody knows: what it needs does not work


MARKS = {
    Level.OK: "[green]ok[/green]  ",
    Level.NOTE: "[yellow]note[/yellow]",
    Level.FAIL: "[red]FAIL[/red]",
    Level.UNCHECKED: "[yellow]----[/yellow]",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    level: Level
    message: str

    @property
    def ok(self) -> bool:
        """Whether it works."""
        return self.level in {Level.OK, Level.NOTE}


@click.command()
@as_json
def doctor(as_json: bool) -> int:
    """Check settings, database, limiter store, Dagster, disk, panel and sources; say how to mend what is wrong.

    Ends with 4 where something does not work. A note is about what works, and will not always.
    """
    findings = list(_findings())
    healthy = all(finding.ok for finding in findings)
    if as_json:
        told = [{"name": each.name, "ok": each.ok, **asdict(each)} for each in findings]
        print_json({"healthy": healthy, "findings": told})
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
        yield from _slips()
        yield _unchecked("all else", "the settings cannot be read")
        return
    yield from _look("settings", lambda: doctor_checks.state(settings))
    yield from _look("sources", lambda: doctor_checks.sources(settings))
    yield from _slips()
    database = list(_look("database", lambda: doctor_checks.database(settings)))
    yield from database
    store = list(_look("limiter store", lambda: doctor_checks.store(settings)))
    yield from store
    if settings.is_postgres and not _all_ok(database):
        message = "its storage lies in the database that does not answer as it should"
        yield Finding(name="Dagster", level=Level.FAIL, message=message)
    else:
        yield from _look("Dagster", lambda: doctor_checks.dagster(settings))
    yield from _look("disk", lambda: doctor_checks.disk(settings))
    yield from _look("panel", lambda: doctor_checks.panel(settings))
    # A source is asked under the limits, with its table in place.
    away = [name for name, found in {"database": database, "limiter store": store}.items() if not _all_ok(found)]
    yield from _each_source(settings, away)


def _slips() -> Iterator[Finding]:
    for note in doctor_checks.slips(read_environment()):
        yield Finding(name="settings", level=Level.NOTE, message=note)


def _unchecked(name: str, reason: str) -> Finding:
    return Finding(name=name, level=Level.UNCHECKED, message=f"not checked, because {reason}")


def _each_source(settings: Settings, away: Sequence[str]) -> Iterator[Finding]:
    try:
        sources = load_sources(settings)
    except ImportPipelineError:
        return  # found above
    reason = f"the {' and the '.join(away)} {'does' if len(away) == 1 else 'do'} not work"
    for source in sources:
        if away:
            yield _unchecked(f"source {source.name}", f"{reason}, see above")
            continue
        yield from _look(f"source {source.name}", lambda source=source: doctor_checks.source(settings, source))  # type: ignore[misc]


def _all_ok(findings: Sequence[Finding]) -> bool:
    return all(finding.ok for finding in findings)


def _look(name: str, check: Callable[[], CheckResult]) -> Iterator[Finding]:
    """What the check tells, then its notes."""
    try:
        told = check()
    except ImportPipelineError as error:
        yield Finding(name=name, level=Level.FAIL, message=redact(str(error)))
    except OSError as error:
        what = f"{error.filename or 'the state folder'}: {error.strerror}"
        message = f"{what}. Check who may write to IMPORT_PIPELINE_HOME"
        yield Finding(name=name, level=Level.FAIL, message=message)
    else:
        yield Finding(name=name, level=Level.OK, message=redact(told.message))
        for note in told.notes:
            yield Finding(name=name, level=Level.NOTE, message=redact(note))
