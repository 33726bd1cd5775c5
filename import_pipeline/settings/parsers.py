"""Parsers of settings: text to value. Every function raises ValueError for a text that it cannot read."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from import_pipeline.settings.endpoint_limits import DEFAULT, NONE, split_endpoints

#: Each is a task and a connection; beyond that, use more processes.
MOST_IN_FLIGHT = 1000
#: A larger amount limits nothing, and would not be counted exactly.
MOST_PERMITS = 10**9
LONGEST_WINDOW_SECONDS = 366 * 86400
#: Runs that share one import.
MOST_WORKERS = 100


def port(raw: str) -> int:
    """Parse a port, from 1 to 65535."""
    number = int(raw)
    if not 0 < number < 65536:
        raise ValueError(raw)
    return number


def positive(raw: str) -> int:
    """Parse a whole number from 1."""
    number = int(raw)
    if number < 1:
        raise ValueError(raw)
    return number


def in_flight(raw: str) -> int:
    """Parse a number of concurrent requests that one process can handle."""
    number = positive(raw)
    if number > MOST_IN_FLIGHT:
        raise ValueError(raw)
    return number


def workers(raw: str) -> int:
    """Parse a number of concurrent runs that a database and a scheduler can handle."""
    number = positive(raw)
    if number > MOST_WORKERS:
        raise ValueError(raw)
    return number


def seconds(raw: str) -> float:
    """Parse a duration in seconds, above 0."""
    number = float(raw)
    if not 0 < number < 10**9:
        raise ValueError(raw)
    return number


def days(raw: str) -> float:
    """Parse an age in days that a date can go back."""
    number = seconds(raw)
    if number > 100_000:
        raise ValueError(raw)
    return number


def delays(raw: str) -> tuple[float, ...]:
    """Parse seconds separated by commas, none negative."""
    numbers = tuple(float(part) for part in raw.split(","))
    if any(not 0 <= number < 10**9 for number in numbers):
        raise ValueError(raw)
    return numbers


def flag(raw: str) -> bool:
    """Parse true, yes, on, 1 or false, no, off, 0."""
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if raw.lower() not in words:
        raise ValueError(raw)
    return words[raw.lower()]


def http_url(raw: str) -> str:
    """Parse an address with a valid host and port, to which paths can be joined."""
    parts = urlsplit(raw)
    if parts.query or parts.fragment or re.search(r"\s", raw):
        raise ValueError(raw)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(raw)
    if parts.port == 0 or parts.netloc.endswith(":"):
        raise ValueError(raw)
    return raw.rstrip("/")


def hook_url(raw: str) -> str:
    """Parse an address to post to; its path and query may be secret."""
    parts = urlsplit(raw)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or re.search(r"\s", raw):
        raise ValueError(raw)
    if parts.port == 0 or parts.netloc.endswith(":"):
        raise ValueError(raw)
    return raw


def redis_url(raw: str) -> str:
    """Parse an address that the redis library can connect to."""
    for server in redis_servers(raw):
        parts = urlsplit(server)
        if parts.scheme not in {"redis", "rediss", "unix"} or parts.port == 0:
            raise ValueError(raw)
        if server != raw and (not parts.hostname or parts.scheme == "unix" or parts.path not in {"", "/", "/0"}):
            raise ValueError(raw)  # a cluster has no other database
    return raw


def redis_servers(url: str) -> tuple[str, ...]:
    """Return the address of each server that `url` names: several for a cluster, `redis+cluster://host:1,host:2`."""
    parts = urlsplit(url)
    scheme = parts.scheme.removesuffix("+cluster")
    if scheme == parts.scheme:
        return (url,)
    user, at, names = parts.netloc.rpartition("@")
    return tuple(parts._replace(scheme=scheme, netloc=f"{user}{at}{name}").geturl() for name in names.split(","))


def token(raw: str) -> str:
    """Parse a secret that is too long to guess: 16 printable characters or more."""
    if len(raw) < 16 or not (raw.isascii() and raw.isprintable()) or " " in raw:
        raise ValueError(raw)
    return raw


def bearer(raw: str) -> str:
    """Parse a token that a header can carry."""
    if not (raw.isascii() and raw.isprintable()):
        raise ValueError(raw)
    return raw


def host(raw: str) -> str:
    """Parse a host name or an address."""
    if not re.fullmatch(r"[\w.:-]+", raw):
        raise ValueError(raw)
    return raw


def hosts(raw: str) -> tuple[str, ...]:
    """Parse host names separated by commas."""
    return tuple(host(part.strip()).lower() for part in raw.split(",") if part.strip())


def header_name(raw: str) -> str:
    """Parse the name of an HTTP header (RFC 9110, 5.6.2)."""
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", raw.strip()):
        raise ValueError(raw)
    return raw.strip().lower()


def folder(raw: str) -> Path:
    """Parse a folder; `~` is expanded."""
    try:
        return Path(raw).expanduser().resolve()
    except RuntimeError as error:  # ~ of a user that does not exist
        raise ValueError(raw) from error


def sources(raw: str) -> str:
    """Parse lists of sources as `module:NAME`, and YAML files as paths, separated by commas."""
    for entry in source_entries(raw):
        if not is_source_file(entry) and not re.fullmatch(r"\w+(\.\w+)*:\w+", entry):
            raise ValueError(raw)
    return raw


def source_entries(raw: str) -> list[str]:
    """Split what IMPORT_PIPELINE_SOURCES names."""
    return [entry.strip() for entry in raw.split(",")]


def is_source_file(entry: str) -> bool:
    """Return True for a path of YAML files, False for `module:NAME`."""
    return entry.endswith((".yaml", ".yml"))


def sensors(raw: str) -> str:
    """Return `one` or `each`. Raises ValueError."""
    if raw not in {"one", "each"}:
        raise ValueError(raw)
    return raw


def limits(raw: str) -> str:
    """Parse tiers in the notation of `limits`, and `20 concurrent`, also per path; return an empty text for `none`."""
    entries = split_endpoints(raw)
    for text in entries.values():
        if text:
            _check_tiers(text)
    if len(entries) == 1 and not entries[DEFAULT] and raw.strip().lower() != NONE:
        raise ValueError(raw)
    return raw if len(entries) > 1 or entries[DEFAULT] else ""


def _check_tiers(raw: str) -> None:
    """Raise ValueError for tiers of one endpoint that cannot be kept to."""
    from limits import parse_many

    amounts, _ = split_limits(raw)
    for tier in parse_many(amounts) if amounts else ():
        if tier.amount < 1:
            raise ValueError(raw)  # would never admit a request
        if tier.amount > MOST_PERMITS or tier.get_expiry() > LONGEST_WINDOW_SECONDS:
            raise ValueError(raw)


def split_limits(raw: str) -> tuple[str, int]:
    """Split off the part in the notation of `limits`, and the number of requests in flight; 0: any number."""
    parts = [part.strip() for part in re.split(r"[;,|\n]", raw) if part.strip()]
    if not parts:
        raise ValueError(raw)
    found = [re.fullmatch(r"([1-9]\d{0,8}) concurrent", part, re.IGNORECASE) for part in parts]
    amounts = [part for part, match in zip(parts, found, strict=True) if not match]
    return "; ".join(amounts), min((int(match[1]) for match in found if match), default=0)


def schema_name(raw: str) -> str:
    """Parse a name that Postgres takes without quotes; ValueError for any other, and for one of Postgres' own."""
    if not re.fullmatch(r"(?!pg_)[a-z_][a-z0-9_]{0,62}", raw):
        raise ValueError(raw)
    return raw


def database_url(raw: str) -> str:
    """Return the SQLAlchemy address with its driver named; ValueError for a database other than SQLite or Postgres.

    SQLAlchemy 2.1 takes psycopg 3 for a plain `postgresql://`, dagster-postgres needs psycopg2: one driver for both.
    A database in memory is refused: each of our threads would see its own.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    scheme, _, rest = raw.partition("://")
    if scheme in {"postgres", "postgresql"}:
        raw = f"postgresql+psycopg2://{rest}"
    try:
        url = make_url(raw)
    except ArgumentError as error:
        raise ValueError(raw) from error
    if url.drivername not in {"postgresql+psycopg2", "sqlite"} or (url.database or ":memory:") == ":memory:":
        raise ValueError(raw)
    return raw
