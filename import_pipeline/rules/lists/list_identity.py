"""The fingerprint by which another process recognizes a list. No I/O."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote_plus

#: A moment this close to now was read from the clock: it differs in each process.
FRESH = timedelta(days=1)
_EPOCH = re.compile(r"(?<![\w.])(?P<seconds>\d{10})(?:\d{3}|\d{6}|\.\d+)?(?![\w])")
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:?\d\d)?")
#: Parameters, fields and headers that authenticate a request or make it unique: they do not identify the list.
_PROOF = r"(?:(?:[\w-]*[_-])?(?:sign|sig|nonce|hmac)|[\w-]*(?:signature|token|request[_-]?id|idempotency[_-]?key))"
_PARAMETER = re.compile(rf"(?P<before>(?:^|[?&\n]){_PROOF}(?:=|: ))[^&\n]*", re.IGNORECASE | re.MULTILINE)
_FIELD = re.compile(rf'(?P<before>"{_PROOF}"\s*:\s*")[^"]*', re.IGNORECASE)


def fingerprint(method: str, target: str, headers: list[tuple[str, str]], body: str, now: datetime) -> str:
    """Return the fingerprint of a request, without its times and signatures."""
    lines = [method, unquote_plus(target), *(f"{name.lower()}: {value}" for name, value in sorted(headers)), body]
    text = "\n".join(lines)
    text = _FIELD.sub(r"\g<before>~", _PARAMETER.sub(r"\g<before>~", text))
    text = _EPOCH.sub(lambda found: _unless_fresh(found[0], _of_epoch(found["seconds"]), now), text)
    text = _ISO.sub(lambda found: _unless_fresh(found[0], _of_iso(found[0]), now), text)
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]


def _unless_fresh(text: str, moment: datetime | None, now: datetime) -> str:
    return "~" if moment is not None and abs(moment - now) <= FRESH else text


def _of_epoch(seconds: str) -> datetime | None:
    return datetime.fromtimestamp(int(seconds), UTC)


def _of_iso(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
