"""`doctor`: is everything in place? Each finding says how to mend it."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import click
from rich.markup import escape

from import_pipeline.cli import screen
from import_pipeline.clock import SystemClock
from import_pipeline.contracts import ImportSource
from import_pipeline.errors import ImportPipelineError
from import_pipeline.importer.installation import Installation, open_installation
from import_pipeline.importer.plan import first_page
from import_pipeline.importer.sources import load_sources
from import_pipeline.ratelimit import Limiter, open_permits, parse_tiers
from import_pipeline.ratelimit.redaction import redact
from import_pipeline.rules.outcome import Verdict, judge
from import_pipeline.settings import Settings, load_settings
from import_pipeline.tracking.schema import address


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    message: str


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def doctor(as_json: bool) -> int:
    """Check settings, database, limiter store, sources and Dagster; say how to mend what is wrong."""
    findings = list(_findings())
    healthy = all(finding.ok for finding in findings)
    if as_json:
        click.echo(json.dumps({"healthy": healthy, "findings": [asdict(finding) for finding in findings]}))
    else:
        console = screen.open_console()
        for finding in findings:
            mark = "[green]ok[/green]  " if finding.ok else "[red]FAIL[/red]"
            screen.say(console, f"{mark} {finding.name}: {escape(finding.message)}")
    return 0 if healthy else 4


def _findings() -> Iterator[Finding]:
    try:
        settings = load_settings()
    except ImportPipelineError as error:
        yield Finding(name="settings", ok=False, message=str(error))
        return
    yield Finding(name="settings", ok=True, message=f"state lies in {settings.home}")
    yield _look("sources", lambda: _sources(settings))
    database = _look("database", lambda: _database(settings))
    yield database
    store = _look("limiter store", lambda: _store(settings))
    yield store
    if settings.is_postgres and not database.ok:
        yield Finding(name="Dagster", ok=False, message="its storage lies in the database that does not answer")
    else:
        yield _look("Dagster", lambda: _dagster(settings))
    if not (database.ok and store.ok):
        return  # a source is asked under the limits, with its table in place
    try:
        sources = load_sources(settings)
    except ImportPipelineError:
        return  # found above
    for source in sources:
        yield _look(f"source {source.name}", lambda source=source: _source(settings, source))  # type: ignore[misc]


def _look(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name=name, ok=True, message=check())
    except ImportPipelineError as error:
        return Finding(name=name, ok=False, message=redact(str(error)))
    except OSError as error:
        message = (
            f"{error.filename or 'the state folder'}: {error.strerror}. Check who may write to IMPORT_PIPELINE_HOME"
        )
        return Finding(name=name, ok=False, message=message)


def _sources(settings: Settings) -> str:
    return f"{', '.join(source.name for source in load_sources(settings))} ({settings.sources})"


def _database(settings: Settings) -> str:
    with open_installation(settings, []) as installation:
        return (
            f"{'Postgres' if settings.is_postgres else 'SQLite'}, tables up to date: {address(installation.database)}"
        )


def _store(settings: Settings) -> str:
    async def look() -> None:
        permits = open_permits(settings.redis_url, settings.limits_path)
        async with Limiter("doctor", parse_tiers(""), permits, clock=SystemClock()) as limiter:
            await limiter.usage()

    asyncio.run(look())
    if settings.redis_url:
        return f"Redis answers: {redact(settings.redis_url)}"
    return f"SQLite, for this machine only: {settings.limits_path}"


def _dagster(settings: Settings) -> str:
    from import_pipeline.defs.instance import instance_folder, open_instance

    with open_instance(settings) as instance:
        runs = instance.get_runs_count()
    return f"{runs} runs; configured by {instance_folder(settings) / 'dagster.yaml'}"


def _source(settings: Settings, source: ImportSource) -> str:
    """Ask for one list page."""
    with open_installation(settings, [source]) as installation:
        return _first_page(installation, installation.source(source.name))


def _first_page(installation: Installation, source: ImportSource) -> str:
    response = asyncio.run(first_page(installation, source))
    judgement = judge(response.status_code)
    if judgement.verdict is not Verdict.READ:
        raise ImportPipelineError(judgement.reason)
    total = source.total(response)
    count = "an unknown number of" if total is None else total
    return f"answers at {source.base_url}, {count} items, limits {source.limits or 'none'}"
