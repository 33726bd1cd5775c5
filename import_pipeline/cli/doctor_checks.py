"""The checks of `doctor`, one function each. They return what works, with notes on what may not last.

Each raises an ImportPipelineError whose text says how to fix the problem.
"""

import asyncio
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from dotenv.parser import parse_stream

from import_pipeline.cli.output.formatting import DAEMONS
from import_pipeline.cli.panel import access_policy, local_host
from import_pipeline.cli.servers import url
from import_pipeline.clock import SystemClock
from import_pipeline.errors import DatabaseUnavailable, ImportPipelineError, LimiterUnavailable, SchemaError
from import_pipeline.importer.installation import Installation, open_installation
from import_pipeline.importer.monitoring.queries import unlisted_imports
from import_pipeline.importer.monitoring.stalled import stalled_import
from import_pipeline.importer.source_list import load_listed
from import_pipeline.importer.source_loader import load_sources, shared_tables, validate
from import_pipeline.ratelimit import Limiter, open_permits, parse_tiers
from import_pipeline.ratelimit.stores.redis_health import inspect_redis, warnings
from import_pipeline.redaction import redact
from import_pipeline.settings import SETTINGS, SOURCE_SETTINGS, Settings, variable_prefix
from import_pipeline.tracking import imports, queries
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.database.health import is_superuser, is_writable, missing_rights, server_seconds
from import_pipeline.tracking.queries import row_snapshot
from import_pipeline.tracking.schema import HEAD, address
from import_pipeline.wording import plural

#: Larger differences between clocks shift slots and leases noticeably.
MOST_SKEW_SECONDS = 2.0
#: Free bytes below which the check fails, and below which it gives a note.
NO_SPACE, LITTLE_SPACE = 50 * 1024**2, 1024**3
#: Similarity, from 0 to 1, above which a name counts as a misspelling of another.
SIMILARITY = 0.87
#: Dagster's daemon stores a heartbeat every 30 s, and leaves the last one when it ends. One may be late.
DAEMON_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """The finding of a check that passed, with notes on what may fail later."""

    message: str
    notes: tuple[str, ...] = ()


def skew(theirs: float | None, ours: float, whose: str) -> list[str]:
    """Return a note if two clocks, both in seconds since 1970, disagree."""
    if theirs is None or abs(theirs - ours) <= MOST_SKEW_SECONDS:
        return []
    direction = "behind" if theirs > ours else "ahead of"
    return [
        f"this machine's clock is {abs(theirs - ours):.0f} s {direction} {whose}: leases and limits follow "
        "that one, Dagster and the logs follow this one. Synchronize both with NTP"
    ]


def state(settings: Settings) -> CheckResult:
    """Return the state folder, with a note for each variable that the `.env` file sets twice."""
    return CheckResult(message=f"state is stored in {settings.home}", notes=tuple(duplicates(Path.cwd() / ".env")))


def duplicates(file: Path) -> list[str]:
    """Return a note for each variable that the file sets more than once. Values are not shown."""
    if not file.is_file():
        return []
    lines: dict[str, list[int]] = {}
    with file.open(encoding="utf-8") as stream:
        for binding in parse_stream(stream):
            if binding.key is not None:
                # The parser's text includes the blank lines before the binding.
                text = binding.original.string
                blank = text[: len(text) - len(text.lstrip())].count("\n")
                lines.setdefault(binding.key, []).append(binding.original.line + blank)
    return [
        f"{name} is set {len(found)} times in {file}, in lines {', '.join(map(str, found))}: the last one "
        "counts. Delete the others"
        for name, found in lines.items()
        if len(found) > 1
    ]


def sources(settings: Settings) -> CheckResult:
    """Load the list of sources."""
    found = load_sources(settings)
    names = ", ".join(source.name for source in found)
    return CheckResult(message=f"{names} ({settings.sources})", notes=tuple(shared_tables(found)))


def misspellings(variables: Mapping[str, str]) -> list[str]:
    """Return a note for each variable that resembles a setting but is none, even if the settings cannot be read."""
    setting = variables.get("IMPORT_PIPELINE_SOURCES") or Settings.sources
    try:
        sources = validate(load_listed(setting), setting)
        names = [name for source in sources for name in (source.name, source.family) if name]
    except ImportPipelineError:  # reported by the check of the sources
        names = []
    return misspelled(variables, names)


def misspelled(variables: Iterable[str], sources: Iterable[str]) -> list[str]:
    """Return a note for each variable whose name resembles a setting. Values are not shown.

    After the name of a source only the rest is compared: a source may have secrets of its own, such as a REFRESH_TOKEN.
    """
    own = [setting.name for setting in SOURCE_SETTINGS]
    prefixes = sorted(map(variable_prefix, sources), key=len, reverse=True)
    known = {*(setting.name for setting in SETTINGS), *(prefix + name for prefix in prefixes for name in own)}
    notes = []
    for variable in sorted({*variables} - known):
        prefix = next((each for each in prefixes if variable.startswith(each)), "")
        near = get_close_matches(variable.removeprefix(prefix), own if prefix else known, n=1, cutoff=SIMILARITY)
        notes += [f"{variable} is set, but there is no such setting. Did you mean {prefix}{each}?" for each in near]
    return notes


def database(settings: Settings) -> CheckResult:
    """Check that the database answers, has the tables of this version, and grants the needed rights."""
    with open_installation(settings, []) as installation:
        found = installation.database
        if not is_writable(found):
            raise DatabaseUnavailable(
                f"{address(found)} is read-only: set DATABASE_URL to the primary, or switch its "
                "default_transaction_read_only off"
            )
        if missing := missing_rights(found):
            raise SchemaError(f"{_role(found)} lacks {_some(missing)}. Grant them as in deploy/postgres-roles.sql")
        notes = skew(server_seconds(found), time.time(), "the database's")
        notes += unlisted_sources(settings, found)
        notes += stalled(settings, installation)
        if is_superuser(found):
            notes.append(f"{_role(found)} is a superuser: use a role with rights on rows only, see deploy/README.md")
        kind = "Postgres" if settings.is_postgres else "SQLite"
        return CheckResult(message=f"{kind}, tables up to date ({HEAD}): {address(found)}", notes=tuple(notes))


def unlisted_sources(settings: Settings, found: Database) -> list[str]:
    """Return a note for each import and request of a source that is not listed: nothing here runs it."""
    try:
        names = [source.name for source in load_sources(settings)]
    except ImportPipelineError:
        return []  # reported by the check of the sources
    with found.read() as connection:
        left = unlisted_imports(connection, names)
        requested = sorted({source for source, _, _ in queries.waiting_requests(connection)} - {*names})
    fix = "list the source in IMPORT_PIPELINE_SOURCES again, or end it with"
    notes = [
        f"import {row.id} of {row.source} is {row.status}, but its source is not listed: {fix} "
        f"`import-pipeline cancel {row.id}`"
        for row in left
    ]
    return notes + [f"a request for an import of {source} waits, but that source is not listed" for source in requested]


def stalled(settings: Settings, installation: Installation) -> list[str]:
    """Return a note for each stalled import of a listed source: the evidence, and what resumes it."""
    try:
        listed = load_sources(settings)
    except ImportPipelineError:
        return []  # reported by the check of the sources
    notes = []
    with installation.database.read() as connection:
        for source in listed:
            row = imports.running(connection, source.name)
            if row is None:
                continue
            found = stalled_import(connection, row_snapshot(connection, row), source, installation.clock.now())
            if found is not None and found.since is not None:
                notes.append(f"import {row.id} of {source.name} is stalled: {found.evidence}. {found.next_step}")
    return notes


def _role(found: Database) -> str:
    return f"the role {found.url.username}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def store(settings: Settings) -> CheckResult:
    """Check that the rate-limit store answers, and that it keeps its data."""

    async def read() -> None:
        permits = open_permits(settings.redis_url, settings.limits_path)
        async with Limiter("doctor", parse_tiers(""), permits, clock=SystemClock()) as limiter:
            await limiter.usage()

    try:
        asyncio.run(read())
    except LimiterUnavailable as error:  # without the name of the API `doctor`, which is ours
        raise LimiterUnavailable(redact(error.said)) from error
    if not settings.redis_url:
        return CheckResult(message=f"SQLite, for this machine only: {settings.limits_path}")
    state = inspect_redis(settings.redis_url)
    if state.replicated or state.is_cluster:
        raise LimiterUnavailable(f"{redact(settings.redis_url)}: {warnings(state)[0]}")
    notes = [*warnings(state), *skew(state.seconds, time.time(), "Redis's")]
    return CheckResult(message=f"Redis answers: {redact(settings.redis_url)}", notes=tuple(notes))


def dagster(settings: Settings) -> CheckResult:
    """Check that Dagster's instance opens, and that a daemon runs schedules, sensors and queue."""
    from import_pipeline.defs.instance import (
        configuration_warnings,
        instance_folder,
        last_daemon_heartbeat,
        open_instance,
    )
    from import_pipeline.defs.storage.postgres_schema import storage_location

    place = storage_location(settings, create=False) if settings.is_postgres else None
    with open_instance(settings) as instance:
        runs = instance.get_runs_count()
        problem = silence(last_daemon_heartbeat(instance), time.time())
        notes = configuration_warnings(instance)
    if problem is not None:
        notes.append(f"{problem}: slots and requests wait for it. Start one: {DAEMONS}")
    alive = "" if problem else ", its daemon is running"
    where = instance_folder(settings) / "dagster.yaml"
    tables = f" in the schema {place.schema}" if place else ""
    return CheckResult(message=f"{plural(runs, 'run')}{tables}{alive}; configured by {where}", notes=tuple(notes))


def silence(heard_at: float | None, now: float) -> str | None:
    """Return the clause that no daemon runs, or None if one does. Both times are in seconds since 1970."""
    if heard_at is None:
        return "no Dagster daemon is running"
    age = now - heard_at
    if age <= DAEMON_SECONDS:
        return None
    return f"no Dagster daemon is running: the last heartbeat is {age / 60:.0f} min old"


def daemon_problem(settings: Settings) -> str | None:
    """Return `silence` of the instance that Dagster's commands use here; None if it does not open."""
    from import_pipeline.defs.instance import last_daemon_heartbeat, open_instance

    try:
        with open_instance(settings) as instance:
            return silence(last_daemon_heartbeat(instance), time.time())
    except (ImportPipelineError, OSError):
        return None  # `doctor` reports the problem


def disk(settings: Settings) -> CheckResult:
    """Check the free space of the state folder's disk."""
    there = next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    message = f"{free / 1024**3:,.1f} GB free for {settings.home}"
    if free < NO_SPACE:
        raise ImportPipelineError(f"{message}: free some space, or set IMPORT_PIPELINE_HOME to another folder")
    notes = [f"{message} is little: free some space, or prune old imports"] if free < LITTLE_SPACE else []
    return CheckResult(message=message, notes=tuple(notes))


def panel(settings: Settings) -> CheckResult:
    """Check that the panel's settings allow it to start."""
    access_policy(settings)
    where = url(local_host(settings), settings.panel_port)
    access = "with a token" if settings.panel_token else "without a token"
    return CheckResult(message=f"would serve {where}, {access}")
