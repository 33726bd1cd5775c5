"""The settings of an installation: the table, and their values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from import_pipeline.logs import Form
from import_pipeline.settings import parsers
from import_pipeline.settings.setting import Setting
from import_pipeline.settings.source import SOURCE_SETTINGS, SourceSettings, variable_prefix

SETTINGS: tuple[Setting[Any], ...] = (
    Setting(
        name="IMPORT_PIPELINE_HOME",
        parse=parsers.folder,
        expected="a folder",
        default=".import_pipeline beside dagster.yaml, else in the current folder",
        meaning="the folder of all state: databases, Dagster's storage and logs",
    ),
    Setting(
        name="IMPORT_PIPELINE_SOURCES",
        parse=parsers.sources,
        expected="module:NAME, such as my_sources:SOURCES, or YAML files, such as sources/*.yaml",
        default="import_pipeline.sources:SOURCES",
        meaning="the sources: lists as `module:NAME` and YAML files such as `sources/*.yaml`, separated by commas",
    ),
    Setting(
        name="IMPORT_PIPELINE_LOGS",
        parse=Form,
        expected="text or json",
        default="off, except for the panel's, as text",
        meaning="log lines on standard error instead of a progress bar: text, or json for one object a line",
    ),
    Setting(
        name="DATABASE_URL",
        parse=parsers.database_url,
        expected="postgresql://user:password@host/name or sqlite:///path",
        default="SQLite in the state folder",
        meaning="the database for tracking, your tables and Dagster",
        secret=True,
    ),
    Setting(
        name="DAGSTER_SCHEMA",
        parse=parsers.schema_name,
        expected="the name of a schema, of lowercase letters, digits and underscores",
        default="import_pipeline_dagster, or the schema that has Dagster's tables",
        meaning="the schema of Dagster's tables on Postgres",
    ),
    Setting(
        name="REDIS_URL",
        parse=parsers.redis_url,
        expected="redis://host:6379/0, rediss://…, unix://… or redis+cluster://host:6379,host:6379",
        default="SQLite in the state folder (one machine)",
        meaning=(
            "the rate-limit store; required if several machines share the limits; "
            "a Redis Cluster as `redis+cluster://host:6379,host:6379`"
        ),
        secret=True,
    ),
    Setting(
        name="SOURCE_API_PORT",
        parse=parsers.port,
        expected="a port from 1 to 65535",
        default="8000",
        meaning="the demo API's port in `up`; the example source uses it unless `ITEMS_BASE_URL` is set",
    ),
    Setting(
        name="DAGSTER_PORT",
        parse=parsers.port,
        expected="a port from 1 to 65535",
        default="3000",
        meaning="the port of Dagster's UI in `up`",
    ),
    Setting(
        name="DAGSTER_URL",
        parse=parsers.http_url,
        expected="an address such as https://dagster.example.com, with no query in it",
        default="http://127.0.0.1: and DAGSTER_PORT",
        meaning="the address of Dagster's UI, for the panel's links to runs",
    ),
    Setting(
        name="DAGSTER_SENSORS",
        parse=parsers.sensors,
        expected="one or each",
        default="each, or one with more than ten sources",
        meaning="one: a sensor and a set of control jobs for all listed sources; each: for each source its own",
    ),
    Setting(
        name="PANEL_URL",
        parse=parsers.http_url,
        expected="an address such as https://imports.example.com",
        default="http://127.0.0.1: and PANEL_PORT",
        meaning="the address of the panel, for the links on Dagster's pages",
    ),
    Setting(
        name="PANEL_HOST",
        parse=parsers.host,
        expected="a name or address to listen on, such as 127.0.0.1 or 0.0.0.0",
        default="127.0.0.1",
        meaning="the address on which the panel listens; any but this machine's own requires PANEL_TOKEN",
    ),
    Setting(
        name="PANEL_PORT",
        parse=parsers.port,
        expected="a port from 1 to 65535",
        default="3001",
        meaning="the panel's port",
    ),
    Setting(
        name="PANEL_TOKEN",
        parse=parsers.token,
        expected="at least 16 letters, digits or signs without a space",
        default="none",
        meaning="the token that the panel requires, at login or as a bearer token",
        secret=True,
    ),
    Setting(
        name="PANEL_HOSTS",
        parse=parsers.hosts,
        expected="names separated by commas, such as imports.example.com",
        default="none",
        meaning="extra host names that the panel answers to, such as a proxy's",
    ),
    Setting(
        name="PANEL_USER_HEADER",
        parse=parsers.header_name,
        expected="the name of a header, such as X-Forwarded-User",
        default="none",
        meaning="the header in which a proxy names the person; it must remove the header from the requests it receives",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The values of all settings, read once."""

    home: Path
    sources: str = "import_pipeline.sources:SOURCES"
    logs: Form | None = None
    database_url: str = field(repr=False)
    dagster_schema: str | None = None
    redis_url: str | None = field(default=None, repr=False)
    source_api_port: int = 8000
    dagster_port: int = 3000
    dagster_url: str | None = None
    dagster_sensors: str | None = None
    panel_url: str | None = None
    panel_host: str = "127.0.0.1"
    panel_port: int = 3001
    panel_token: str | None = field(default=None, repr=False)
    panel_hosts: tuple[str, ...] = ()
    panel_user_header: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: No request leaves the process, so no secret need be set; its SQLite file stands for the real database.
    is_rehearsal: bool = False

    @property
    def is_postgres(self) -> bool:
        """True if the tracking database is Postgres."""
        return self.database_url.startswith("postgresql")

    @property
    def limits_path(self) -> Path:
        """The file of the SQLite rate-limit store."""
        return self.home / "limits.db"

    def source(self, name: str, family: str | None = None) -> SourceSettings:
        """Return the settings of the source of that name. Raises SettingError.

        `family`: the name whose settings count for those that this source does not have, except its token.
        """
        values = {each.name.lower(): self._read(each, name, family) for each in SOURCE_SETTINGS}
        prefix, environment = variable_prefix(name), self.environment
        return SourceSettings(**values, prefix=prefix, environment=environment, is_rehearsal=self.is_rehearsal)

    def _read(self, setting: Setting[Any], name: str, family: str | None) -> Any:
        value = setting.read(self.environment, variable_prefix(name))
        if value is not None or family is None or not setting.is_inherited:
            return value
        return setting.read(self.environment, variable_prefix(family))
