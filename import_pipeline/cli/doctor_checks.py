"""What `doctor` looks at, one function each: what it found well, with notes on what will not last.

Each raises an ImportPipelineError whose text says how to mend what does not work.
"""

import asyncio
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from dotenv.parser import parse_stream

from import_pipeline.cli.panel import local_host, open_door
from import_pipeline.cli.servers import url
from import_pipeline.clock import SystemClock
from import_pipeline.contracts import ImportSource
from import_pipeline.errors import DatabaseUnavailable, ImportPipelineError, LimiterUnavailable, SchemaError
from import_pipeline.importer.control.plan import first_page
from import_pipeline.importer.control.unlisted import of_unlisted
from import_pipeline.importer.discovery.list_page import total_of
from import_pipeline.importer.installation import Installation, open_installation
from import_pipeline.importer.monitoring.stalled import stalled_import
from import_pipeline.importer.source_loader import load_object, load_sources, shared_tables, validate
from import_pipeline.ratelimit import Limiter, open_permits, parse_tiers
from import_pipeline.ratelimit.http.proxies import environment_proxy
from import_pipeline.ratelimit.stores.redis_health import inspect_redis, warnings
from import_pipeline.redaction import redact
from import_pipeline.rules.responses.actions import ResponseAction, classify
from import_pipeline.settings import SETTINGS, SOURCE_SETTINGS, Settings, variable_prefix
from import_pipeline.tracking import imports, queries
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.database.health import is_superuser, is_writable, missing_rights, server_seconds
from import_pipeline.tracking.schema import HEAD, address

#: Clocks that differ by more than this make slots and leases surprising.
MOST_SKEW_SECONDS = 2.0
#: Free bytes below which nothing works for long, and below which somebody should look.
NO_SPACE, LITTLE_SPACE = 50 * 1024**2, 1024**3
#: How alike (0 to 1) two names are of which one is taken for a slip of the other.
NEARLY = 0.87
#: Dagster's daemon gives a sign of life every 30 s, and takes none back when it ends. One may be late.
DAEMON_SECONDS = 60.0
#: What starts one.
DAEMONS = "`import-pipeline up`, `dagster dev` or `dagster-daemon run`"


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What is well, and what will not always be."""

    message: str
    notes: tuple[str, ...] = ()


def skew(theirs: float | None, ours: float, whose: str) -> list[str]:
    """The note on two clocks, both in seconds since 1970, that do not agree."""
    if theirs is None or abs(theirs - ours) <= MOST_SKEW_SECONDS:
        return []
    direction = "behind" if theirs > ours else "ahead of"
    return [
        f"this machine's clock is {abs(theirs - ours):.0f} s {direction} {whose}: what hosts "
        "share follows that one, Dagster and the logs follow this one. Let both be set by NTP"
    ]


def state(settings: Settings) -> CheckResult:
    """Where state lies; with notes on what the `.env` file of this folder says twice."""
    return CheckResult(message=f"state lies in {settings.home}", notes=tuple(given_twice(Path.cwd() / ".env")))


def given_twice(file: Path) -> list[str]:
    """A note on each variable that the file gives more than once: the last one counts. Values are not told."""
    if not file.is_file():
        return []
    lines: dict[str, list[int]] = {}
    with file.open(encoding="utf-8") as stream:
        for binding in parse_stream(stream):
            if binding.key is not None:
                # Blank lines before it belong to what the parser found.
                text = binding.original.string
                blank = text[: len(text) - len(text.lstrip())].count("\n")
                lines.setdefault(binding.key, []).append(binding.original.line + blank)
    return [
        f"{name} is given {len(found)} times in {file}, in the lines {', '.join(map(str, found))}: the last one "
        "counts. Delete the others"
        for name, found in lines.items()
        if len(found) > 1
    ]


def sources(settings: Settings) -> CheckResult:
    """Whether the list of sources can be loaded."""
    found = load_sources(settings)
    names = ", ".join(source.name for source in found)
    return CheckResult(message=f"{names} ({settings.sources})", notes=tuple(shared_tables(found)))


def slips(variables: Mapping[str, str]) -> list[str]:
    """A note on each variable that looks like a setting, and is none, also where another setting cannot be read."""
    setting = variables.get("IMPORT_PIPELINE_SOURCES") or Settings.sources
    try:
        names = [source.name for source in validate(load_object(setting), setting)]
    except ImportPipelineError:  # the check of the sources says so
        names = []
    return mistyped(variables, names)


def mistyped(variables: Iterable[str], sources: Iterable[str]) -> list[str]:
    """A note on each variable that is nearly one of our settings: nothing reads it. Values are not told."""
    theirs = (variable_prefix(source) + setting.name for source in sources for setting in SOURCE_SETTINGS)
    known = {*(setting.name for setting in SETTINGS), *theirs}
    near = {name: get_close_matches(name, known, n=1, cutoff=NEARLY) for name in sorted({*variables} - known)}
    return [f"{name} is set, but no such setting is known: {found[0]}?" for name, found in near.items() if found]


def database(settings: Settings) -> CheckResult:
    """Whether it answers, has the tables of this version, and lets us work with them."""
    with open_installation(settings, []) as installation:
        found = installation.database
        if not is_writable(found):
            raise DatabaseUnavailable(
                f"{address(found)} lets nobody write: name the primary in DATABASE_URL, or end its "
                "default_transaction_read_only"
            )
        if missing := missing_rights(found):
            raise SchemaError(f"{_role(found)} lacks {_some(missing)}. Grant them: deploy/postgres-roles.sql shows how")
        notes = skew(server_seconds(found), time.time(), "the database's")
        notes += of_unlisted_sources(settings, found)
        notes += stalled(settings, installation)
        if is_superuser(found):
            notes.append(f"{_role(found)} is a superuser: use a role that only works with rows, see deploy/README.md")
        kind = "Postgres" if settings.is_postgres else "SQLite"
        return CheckResult(message=f"{kind}, tables up to date ({HEAD}): {address(found)}", notes=tuple(notes))


def of_unlisted_sources(settings: Settings, found: Database) -> list[str]:
    """A note on each import and request that waits for a source that is not listed: nothing here carries it out."""
    try:
        names = [source.name for source in load_sources(settings)]
    except ImportPipelineError:
        return []  # the check of the sources says so
    with found.read() as connection:
        left = of_unlisted(connection, names)
        requested = sorted({source for source, _, _ in queries.waiting_wishes(connection)} - {*names})
    mend = "list the source in IMPORT_PIPELINE_SOURCES again, or end it with"
    notes = [
        f"import {row.id} of {row.source} is {row.status}, and its source is not listed: {mend} "
        f"`import-pipeline cancel {row.id}`"
        for row in left
    ]
    return notes + [f"a request for an import of {source} waits, and that source is not listed" for source in requested]


def stalled(settings: Settings, installation: Installation) -> list[str]:
    """A note on each running import of a listed source that no worker works on: why, and what resumes it."""
    try:
        listed = load_sources(settings)
    except ImportPipelineError:
        return []  # the check of the sources says so
    notes = []
    with installation.database.read() as connection:
        for source in listed:
            row = imports.running(connection, source.name)
            found = None if row is None else stalled_import(connection, row, source, installation.clock.now())
            if row is not None and found is not None and found.since is not None:
                notes.append(f"import {row.id} of {source.name} is stalled: {found.gone}. {found.sequel}")
    return notes


def _role(found: Database) -> str:
    return f"the role {found.url.username}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def store(settings: Settings) -> CheckResult:
    """Whether the limits' store answers, and will keep what it is told."""

    async def look() -> None:
        permits = open_permits(settings.redis_url, settings.limits_path)
        async with Limiter("doctor", parse_tiers(""), permits, clock=SystemClock()) as limiter:
            await limiter.usage()

    try:
        asyncio.run(look())
    except LimiterUnavailable as error:  # only the limits of an api that nobody has are its own words
        raise LimiterUnavailable(redact(error.said)) from error
    if not settings.redis_url:
        return CheckResult(message=f"SQLite, for this machine only: {settings.limits_path}")
    state = inspect_redis(settings.redis_url)
    if state.replicated or state.is_cluster:
        raise LimiterUnavailable(f"{redact(settings.redis_url)}: {warnings(state)[0]}")
    notes = [*warnings(state), *skew(state.seconds, time.time(), "Redis's")]
    return CheckResult(message=f"Redis answers: {redact(settings.redis_url)}", notes=tuple(notes))


def dagster(settings: Settings) -> CheckResult:
    """Whether its instance opens, and whether a daemon lives to run schedule, sensor and queue."""
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
        silent = silence(last_daemon_heartbeat(instance), time.time())
        notes = configuration_warnings(instance)
    if silent is not None:
        notes.append(f"{silent}: slots and requests wait until {DAEMONS} is started")
    alive = "" if silent else ", its daemon is alive"
    where = instance_folder(settings) / "dagster.yaml"
    tables = f" in the schema {place.schema}" if place else ""
    return CheckResult(message=f"{runs} runs{tables}{alive}; configured by {where}", notes=tuple(notes))


def silence(heard_at: float | None, now: float) -> str | None:
    """For how long no daemon has been heard, both in seconds since 1970; None where one lives."""
    if heard_at is None:
        return "no daemon gives a sign of life"
    silent = now - heard_at
    return f"no daemon has given a sign of life for {silent / 60:.0f} min" if silent > DAEMON_SECONDS else None


def daemon_silence(settings: Settings) -> str | None:
    """The same of the instance that Dagster's commands use here; None also where that does not open."""
    from import_pipeline.defs.instance import last_daemon_heartbeat, open_instance

    try:
        with open_instance(settings) as instance:
            return silence(last_daemon_heartbeat(instance), time.time())
    except (ImportPipelineError, OSError):
        return None  # `doctor` says what is wrong with it


def disk(settings: Settings) -> CheckResult:
    """Whether the state folder's disk has room."""
    there = next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    message = f"{free / 1024**3:,.1f} GB free for {settings.home}"
    if free < NO_SPACE:
        raise ImportPipelineError(f"{message}: make room, or name another folder in IMPORT_PIPELINE_HOME")
    notes = [f"{message} is little: make room, or prune old imports"] if free < LITTLE_SPACE else []
    return CheckResult(message=message, notes=tuple(notes))


def panel(settings: Settings) -> CheckResult:
    """Whether the panel would open, and to whom."""
    open_door(settings)
    where = url(local_host(settings), settings.panel_port)
    return CheckResult(message=f"{where}, {'with' if settings.panel_token else 'without'} a token")


def source(settings: Settings, listed: ImportSource) -> CheckResult:
    """Ask for one list page."""
    with open_installation(settings, [listed]) as installation:
        return CheckResult(message=_first_page(installation, installation.source(listed.name)))


def _first_page(installation: Installation, listed: ImportSource) -> str:
    response = asyncio.run(first_page(installation, listed))
    judgement = classify(response.status_code, setting=f"{variable_prefix(listed.name)}TOKEN")
    if judgement.verdict is not ResponseAction.READ:
        raise ImportPipelineError(judgement.reason)
    total = total_of(listed, response)
    count = "an unknown number of" if total is None else total
    found = environment_proxy(listed.base_url)
    way = f" through the proxy {found.address} ({found.variable})" if found else ""
    return f"answers at {listed.base_url}{way}, {count} items, limits {listed.limits or 'none'}"
