"""The settings of a source: the table, and their values for one source."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from import_pipeline.errors import SettingError
from import_pipeline.redaction import SECRETS
from import_pipeline.settings import parsers
from import_pipeline.settings.setting import Setting

#: Characters up to which a line of a longer secret may be a common text, such as the first line of a key.
SHORTEST_LINE = 40

SOURCE_SETTINGS: tuple[Setting[Any], ...] = (
    Setting(
        name="BASE_URL",
        parse=parsers.http_url,
        expected="an address such as https://api.example.com, with no query in it",
        default="the source's own",
        meaning="the address of the API",
    ),
    Setting(
        name="TOKEN",
        parse=parsers.bearer,
        expected="a token of printable ASCII characters",
        default="none",
        meaning="sent as a bearer token",
        secret=True,
        is_inherited=False,  # one tenant's token would fetch its rows under the name of another
    ),
    Setting(
        name="LIMITS",
        parse=parsers.limits,
        expected="tiers of up to a year such as '500/20 second; 2000/100 second; 20 concurrent', or the word none",
        default="the source's own",
        meaning="the rate limits, which all hold at once; with none, inferred; of a path: `/search: 5/1 second`",
    ),
    Setting(
        name="CONCURRENCY",
        parse=parsers.in_flight,
        expected="a whole number from 1 to 1000",
        default="10",
        meaning="detail requests in flight at first",
    ),
    Setting(
        name="CEILING",
        parse=parsers.in_flight,
        expected="a whole number from 1 to 1000",
        default="100",
        meaning="detail requests in flight at most, if answers are slow and the limits allow more",
    ),
    Setting(
        name="SHARDS",
        parse=parsers.workers,
        expected="a whole number from 1 to 100",
        default="1",
        meaning="runs that share one import",
    ),
    Setting(
        name="PER_PAGE",
        parse=parsers.positive,
        expected="a whole number from 1",
        default="100",
        meaning="items per list page",
    ),
    Setting(
        name="MAX_PAGES",
        parse=parsers.positive,
        expected="a whole number from 1",
        default="100000",
        meaning="list pages after which a list without a stable total counts as endless",
    ),
    Setting(
        name="TIMEOUT",
        parse=parsers.seconds,
        expected="seconds above 0",
        default="30",
        meaning="timeout of a whole request, in seconds",
    ),
    Setting(
        name="MAX_BODY",
        parse=parsers.positive,
        expected="a whole number from 1",
        default="16777216",
        meaning="bytes of a response, packed and unpacked; a longer one is refused",
    ),
    Setting(
        name="TRIES",
        parse=parsers.positive,
        expected="a whole number from 1",
        default="5",
        meaning="tries per item before it fails permanently",
    ),
    Setting(
        name="BACKOFF",
        parse=parsers.delays,
        expected="seconds separated by commas, such as 30,60,120,240",
        default="30,60,120,240",
        meaning="seconds between the tries of an item",
    ),
    Setting(
        name="OVERLAP",
        parse=parsers.flag,
        expected="true or false",
        default="true",
        meaning="false: the whole list is read before the first detail",
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
        meaning="the time zone of those times",
    ),
    Setting(
        name="LEASE",
        parse=parsers.seconds,
        expected="seconds above 0",
        default="60",
        meaning="seconds without a heartbeat after which a worker counts as dead",
    ),
    Setting(
        name="WAIT",
        parse=parsers.seconds,
        expected="seconds above 0",
        default="300",
        meaning="seconds that an import of chosen items waits for a running import",
    ),
    Setting(
        name="MAX_OUTAGE",
        parse=parsers.seconds,
        expected="seconds above 0",
        default="120",
        meaning="seconds to wait for an API or database that stops answering; then the import ends",
    ),
    Setting(
        name="MAX_PAUSE",
        parse=parsers.seconds,
        expected="seconds above 0",
        default="21600",
        meaning="seconds of the longest pause to wait for; a longer one ends the import",
    ),
    Setting(
        name="PRUNE_DAYS",
        parse=parsers.days,
        expected="days above 0",
        default="never",
        meaning="days after which the sensor deletes the item rows of an ended import, except failed ones",
    ),
    Setting(
        name="NOTIFY_URL",
        parse=parsers.hook_url,
        expected="an address such as https://hooks.example.com/imports",
        default="none",
        meaning="the address to which notices of failed, incomplete and blocked imports are posted as JSON",
        secret=True,
    ),
)


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """The values of one source's settings; None if a setting is absent."""

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
    prefix: str = field(default="", compare=False)  #: of the source's variables, such as ORDERS_
    environment: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    is_rehearsal: bool = field(default=False, compare=False)  #: absent secrets have a made-up value

    def secret(self, name: str, default: str | None = None) -> str:
        """Return a secret of the source, such as `secret("CLIENT_SECRET")`, from the environment or `.env`.

        Its variable begins with the source's name: ORDERS_CLIENT_SECRET. The value is masked in all output. Raises
        SettingError if it is absent and has no default.
        """
        variable = self.prefix + name.upper()
        value = self.environment.get(variable, "").strip()
        if not value:
            if default is None and self.is_rehearsal:
                return f"rehearsal-{name.lower()}"
            if default is None:
                raise SettingError(variable, "a secret, in the environment or in .env", "nothing")
            return default
        SECRETS.register([value, *(line for line in value.splitlines() if len(line) > SHORTEST_LINE)])
        return value


def variable_prefix(source: str) -> str:
    """Return the prefix of a source's variables: `my-items` -> `MY_ITEMS_`."""
    return re.sub(r"\W", "_", source).upper() + "_"
