"""The one table of settings, and the one place that reads the environment.

`load_settings()` reads the environment and, beneath it, a `.env` file in the current folder. Everything else takes the
`Settings` object. Per-source settings are named after the source: `ITEMS_LIMITS` belongs to the source `items`.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from dotenv import dotenv_values

from import_pipeline import values
from import_pipeline.errors import SettingError
from import_pipeline.logs import Form
from import_pipeline.redaction import keep

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Setting(Generic[T]):
    """One row of the table: how a variable is read and what it means.

    `expected` completes the sentence "expected …, got …". A secret's value never appears in an error.
    """

    name: str
    parse: Callable[[str], T]
    expected: str
    default: str
    meaning: str
    secret: bool = False

    def read(self, environment: Mapping[str, str], prefix: str = "") -> T | None:
        """The parsed value, or None where the variable is absent or empty; raises SettingError."""
        name = prefix + self.name
        raw = environment.get(name, "").strip()
        if not raw:
            return None
        if self.secret or "://" in raw:
            keep(raw)
        try:
            return self.parse(raw)
        except ValueError as error:
            raise SettingError(name, self.expected, self.shown(raw)) from error

    def shown(self, raw: str) -> str:
        """The value as an error quotes it. An address may hold a password even where it is no secret as a whole."""
        if self.secret:
            return "a value that is not shown"
        return repr(re.sub(r"(?<=[?&#]).*", "***", re.sub(r"//.*@", "//***@", raw)))


SETTINGS: tuple[Setting[Any], ...] = (
    Setting(
        name="IMPORT_PIPELINE_HOME",
        parse=values.folder,
        expected="a folder",
        default=".import_pipeline beside dagster.yaml, else in the current folder",
        meaning="the one folder that holds all state: databases, Dagster's storage and logs",
    ),
    Setting(
        name="IMPORT_PIPELINE_SOURCES",
        parse=values.sources,
        expected="module:NAME, such as my_sources:SOURCES",
        default="import_pipeline.sources:SOURCES",
        meaning="the list of sources",
    ),
    Setting(
        name="IMPORT_PIPELINE_LOGS",
        parse=Form,
        expected="text or json",
        default="none but the panel's, as text",
        meaning="log lines on standard error, in place of a progress bar: for people, or one JSON object a line",
    ),
    Setting(
        name="DATABASE_URL",
        parse=values.database_url,
        expected="postgresql://user:password@host/name or sqlite:///path",
        default="SQLite in the state folder",
        meaning="the database of tracking, of your tables and of Dagster",
        secret=True,
    ),
    Setting(
        name="REDIS_URL",
        parse=values.redis_url,
        expected="redis://host:6379/0, rediss://… or unix://…",
        default="SQLite in the state folder (one machine)",
        meaning="the store of the shared limits; needed as soon as two machines share them",
        secret=True,
    ),
    Setting(
        name="SOURCE_API_PORT",
        parse=values.port,
        expected="a port from 1 to 65535",
        default="8000",
        meaning="the demo API's port in `up` and `demo`",
    ),
    Setting(
        name="DAGSTER_PORT",
        parse=values.port,
        expected="a port from 1 to 65535",
        default="3000",
        meaning="the port of Dagster's UI in `up`",
    ),
    Setting(
        name="DAGSTER_URL",
        parse=values.http_url,
        expected="an address such as https://dagster.example.com, with no query in it",
        default="http://127.0.0.1: and DAGSTER_PORT",
        meaning="where the panel's links to Dagster runs lead",
    ),
    Setting(
        name="PANEL_URL",
        parse=values.http_url,
        expected="an address such as https://imports.example.com",
        default="http://127.0.0.1: and PANEL_PORT",
        meaning="where links from Dagster's pages to the panel lead",
    ),
    Setting(
        name="PANEL_HOST",
        parse=values.host,
        expected="a name or address to listen on, such as 127.0.0.1 or 0.0.0.0",
        default="127.0.0.1",
        meaning="where the panel listens; any other than this machine alone demands PANEL_TOKEN",
    ),
    Setting(
        name="PANEL_PORT",
        parse=values.port,
        expected="a port from 1 to 65535",
        default="3001",
        meaning="the panel's port",
    ),
    Setting(
        name="PANEL_TOKEN",
        parse=values.token,
        expected="at least 16 letters, digits or signs without a space",
        default="none",
        meaning="what the panel asks for at login, or as a bearer token",
        secret=True,
    ),
    Setting(
        name="PANEL_HOSTS",
        parse=values.hosts,
        expected="names separated by commas, such as imports.example.com",
        default="none",
        meaning="names that the panel is asked for by besides its addresses, behind a proxy say",
    ),
)

SOURCE_SETTINGS: tuple[Setting[Any], ...] = (
    Setting(
        name="BASE_URL",
        parse=values.http_url,
        expected="an address such as https://api.example.com, with no query in it",
        default="the source's own",
        meaning="where the API is",
    ),
    Setting(
        name="TOKEN",
        parse=values.bearer,
        expected="a token of printable ASCII characters",
        default="none",
        meaning="sent as a bearer token",
        secret=True,
    ),
    Setting(
        name="LIMITS",
        parse=values.limits,
        expected="tiers of up to a year such as '500/20 second; 2000/100 second; 20 concurrent', or the word none",
        default="the source's own",
        meaning="the rate limits, all of which hold at once; none: they are learned",
    ),
    Setting(
        name="CONCURRENCY",
        parse=values.in_flight,
        expected="a whole number from 1 to 1000",
        default="10",
        meaning="detail requests in flight, to begin with",
    ),
    Setting(
        name="CEILING",
        parse=values.in_flight,
        expected="a whole number from 1 to 1000",
        default="100",
        meaning="detail requests in flight at most, where answers are slow and the limits allow more",
    ),
    Setting(
        name="SHARDS",
        parse=values.workers,
        expected="a whole number from 1 to 100",
        default="1",
        meaning="runs that work on one import at once",
    ),
    Setting(
        name="PER_PAGE",
        parse=values.positive,
        expected="a whole number from 1",
        default="100",
        meaning="items asked for per list page",
    ),
    Setting(
        name="MAX_PAGES",
        parse=values.positive,
        expected="a whole number from 1",
        default="100000",
        meaning="list pages, where the list tells no lasting total; after more it counts as endless",
    ),
    Setting(
        name="TIMEOUT",
        parse=values.seconds,
        expected="seconds above 0",
        default="30",
        meaning="seconds for a whole request",
    ),
    Setting(
        name="MAX_BODY",
        parse=values.positive,
        expected="a whole number from 1",
        default="16777216",
        meaning="bytes of an answer, packed and unpacked; a longer one is refused",
    ),
    Setting(
        name="TRIES",
        parse=values.positive,
        expected="a whole number from 1",
        default="5",
        meaning="tries per item before it has failed for good",
    ),
    Setting(
        name="BACKOFF",
        parse=values.delays,
        expected="seconds separated by commas, such as 30,60,120,240",
        default="30,60,120,240",
        meaning="seconds between the tries of an item",
    ),
    Setting(
        name="OVERLAP",
        parse=values.flag,
        expected="true or false",
        default="true",
        meaning="false: everything is discovered before the first detail",
    ),
    Setting(
        name="SLOTS",
        parse=str,
        expected="hours or times of the day, such as 0,3,6 or 09:30,12:00",
        default="0,3,6,9,12,15,18,21",
        meaning="the times of the day at which an import is due",
    ),
    Setting(
        name="TIME_ZONE",
        parse=str,
        expected="a time zone such as Europe/Berlin",
        default="UTC",
        meaning="the zone of those times",
    ),
    Setting(
        name="LEASE",
        parse=values.seconds,
        expected="seconds above 0",
        default="60",
        meaning="seconds without a heartbeat after which an import counts as dead",
    ),
    Setting(
        name="WAIT",
        parse=values.seconds,
        expected="seconds above 0",
        default="300",
        meaning="seconds that a re-import of chosen items waits for a running import",
    ),
    Setting(
        name="MAX_OUTAGE",
        parse=values.seconds,
        expected="seconds above 0",
        default="120",
        meaning="seconds for which an API that stops answering is waited for; after that the import ends",
    ),
    Setting(
        name="MAX_PAUSE",
        parse=values.seconds,
        expected="seconds above 0",
        default="21600",
        meaning="a longer pause asked for by the server ends the import",
    ),
    Setting(
        name="PRUNE_DAYS",
        parse=values.days,
        expected="days above 0",
        default="never",
        meaning="days after which the sensor drops the item rows of an ended import, failed ones excepted",
    ),
    Setting(
        name="NOTIFY_URL",
        parse=values.hook_url,
        expected="an address such as https://hooks.example.com/imports",
        default="none",
        meaning="where notices of failed, incomplete and blocked imports are posted as JSON",
        secret=True,
    ),
)


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """What the environment says of one source; None where it says nothing."""

    base_url: str | None = None
    token: str | None = field(default=None, repr=False)
    limits: str | None = None
    concurrency: int | None = None
    ceiling: int | None = None
    shards: int | None = None
    per_page: int | None = None
    max_pages: int | None = None
    timeout: float | None = None
    max_body: int | None = None
    tries: int | None = None
    backoff: tuple[float, ...] | None = None
    overlap: bool | None = None
    slots: str | None = None
    time_zone: str | None = None
    lease: float | None = None
    wait: float | None = None
    max_outage: float | None = None
    max_pause: float | None = None
    prune_days: float | None = None
    notify_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that the environment decides, read once."""

    home: Path
    sources: str = "import_pipeline.sources:SOURCES"
    logs: Form | None = None
    database_url: str = field(repr=False)
    redis_url: str | None = field(default=None, repr=False)
    source_api_port: int = 8000
    dagster_port: int = 3000
    dagster_url: str | None = None
    panel_url: str | None = None
    panel_host: str = "127.0.0.1"
    panel_port: int = 3001
    panel_token: str | None = field(default=None, repr=False)
    panel_hosts: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_postgres(self) -> bool:
        """Whether the tracking database is Postgres."""
        return self.database_url.startswith("postgresql")

    @property
    def limits_path(self) -> Path:
        """The embedded limiter's file."""
        return self.home / "limits.db"

    def source(self, name: str) -> SourceSettings:
        """The settings of the source of that name; raises SettingError."""
        prefix = variable_prefix(name)
        return SourceSettings(
            **{setting.name.lower(): setting.read(self.environment, prefix) for setting in SOURCE_SETTINGS}
        )


def variable_prefix(source: str) -> str:
    """`my-items` -> `MY_ITEMS_`."""
    return re.sub(r"\W", "_", source).upper() + "_"


def default_home(folder: Path) -> Path:
    """The state folder: beside the nearest dagster.yaml at or above the folder, else in the folder."""
    for candidate in (folder, *folder.parents):
        if (candidate / "dagster.yaml").is_file():
            return candidate / ".import_pipeline"
    return folder / ".import_pipeline"


def _check_home(home: Path) -> None:
    """Raise SettingError for a folder that means another one, or nothing, in the address of a database."""
    if "?" in str(home) or re.search(r"%[0-9A-Fa-f]{2}", str(home)):
        expected = "a folder whose whole path has no question mark and no escape such as %20"
        raise SettingError("IMPORT_PIPELINE_HOME", expected, repr(str(home)))


def load_settings(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Read the environment and the folder's `.env`; the environment wins. Raises SettingError.

    Both arguments default to the process's own.
    """
    folder = folder or Path.cwd()
    given = os.environ if environment is None else environment
    from_file = {name: value or "" for name, value in dotenv_values(folder / ".env").items()}
    merged = {**from_file, **given}
    values = {setting.name: setting.read(merged) for setting in SETTINGS}
    # Where DAGSTER_HOME names the folder of dagster.yaml, state lies beside it whatever the current folder is.
    home = values["IMPORT_PIPELINE_HOME"] or default_home(Path(merged.get("DAGSTER_HOME") or folder).resolve())
    _check_home(home)
    defaults = {
        "sources": values["IMPORT_PIPELINE_SOURCES"],
        "logs": values["IMPORT_PIPELINE_LOGS"],
        "redis_url": values["REDIS_URL"],
        "source_api_port": values["SOURCE_API_PORT"],
        "dagster_port": values["DAGSTER_PORT"],
        "dagster_url": values["DAGSTER_URL"],
        "panel_url": values["PANEL_URL"],
        "panel_host": values["PANEL_HOST"],
        "panel_port": values["PANEL_PORT"],
        "panel_token": values["PANEL_TOKEN"],
        "panel_hosts": values["PANEL_HOSTS"],
    }
    return Settings(
        home=home,
        database_url=values["DATABASE_URL"] or f"sqlite:///{home / 'import_pipeline.db'}",
        environment=merged,
        **{name: value for name, value in defaults.items() if value is not None},
    )
