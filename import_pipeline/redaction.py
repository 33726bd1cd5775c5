"""Masking of secrets in everything that is logged, stored or displayed.

Secrets are registered when they are read (`register`: settings, headers of a connector) and remembered when they are
sent (`remember_*`: headers and parameters with sensitive names). Every text for people passes `redact`. The registry
belongs to the process, since a log handler or a column type cannot receive a list of secrets.
"""

import logging
import re
import threading
import traceback
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

MASK = "***"
#: In errors, in place of a value that may be a secret.
HIDDEN = "a value that is not shown"
#: Shorter secrets are not masked: they hide nothing, and would mask parts of common words.
SHORTEST = 4
#: Shorter secrets may be words or parts of words: they are masked only as whole words.
SHORTEST_ANYWHERE = 12
#: Remembered secrets of single requests and responses; the oldest are dropped.
MOST_REMEMBERED = 500

#: Words in the name of a parameter, header or field that make its value a secret.
_WORD = r"(?:token|secret|password|passwd|pwd|signature|credential|api[_-]?key|apikey|access[_-]?key|session)"
_PART = rf"[\w-]{{0,40}}{_WORD}[\w-]{{0,40}}"
_FIELD_NAME = rf"(?:{_PART}|auth|authorization|jwt|cookie|set-cookie|proxy-authorization)"
SENSITIVE_NAME = rf"(?:{_FIELD_NAME}|key|sig|code)"
# Patterns that match anywhere are bounded, so that every text takes linear time: a scheme has at most 31 characters.
_USERINFO = re.compile(r"(?P<before>\b[a-z][a-z0-9+.-]{0,30}://)(?P<user>[^\s/?#@:]*)(?::[^\s/?#@]*)?@", re.IGNORECASE)
#: Schemes whose user is a role, which is displayed. In the address of an API the user may be a token.
_WITH_ROLE = ("postgres", "redis")
_PARAMETER = re.compile(rf"(?P<before>[?&;]{SENSITIVE_NAME}=)(?P<value>[^\s&#;\"'<>]*)", re.IGNORECASE)
_BEARER = re.compile(r"(?P<before>\b(?:bearer|basic)\s+)[\w.~+/=-]+", re.IGNORECASE)
#: A field of JSON or of a printed dict, even in a truncated text.
_FIELD = re.compile(
    rf"""(?P<before>(?P<mark>["']){_FIELD_NAME}(?P=mark)\s*:\s*(?P<quote>["']))"""
    r"""(?P<value>(?:\\.|(?!(?P=quote))[^\\])*)""",
    re.IGNORECASE | re.DOTALL,
)
_NAME = re.compile(SENSITIVE_NAME, re.IGNORECASE)
#: Headers of a connector without secret values.
HARMLESS = frozenset(
    {"accept", "accept-charset", "accept-encoding", "accept-language", "connection", "content-type", "host"}
    | {"user-agent"}
)
#: Parameters of a connector without secret values.
_HARMLESS_PARAMETER = re.compile(
    r"(api[_-]?version|version|v|format|fmt|output|alt|lang|language|locale|units?|fields|expand|include|order|sort"
    r"|(per[_-]?)?page([_-]?size)?|limit|time[_-]?zone|tz|currency)",
    re.IGNORECASE,
)


class Secrets:
    """The secrets of this process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._registered: frozenset[str] = frozenset()
        self._remembered: OrderedDict[str, None] = OrderedDict()
        self._longest_first: tuple[str, ...] = ()

    def register(self, texts: Iterable[str]) -> None:
        """Mask these texts until the process ends."""
        new = _forms(texts) - self._registered
        if new:
            with self._lock:
                self._registered |= new
                self._sort()

    def forget(self, texts: Iterable[str]) -> None:
        """Mask these texts no longer: tokens that have expired, whose number grows without end."""
        with self._lock:
            self._registered -= _forms(texts)
            self._sort()

    def remember(self, texts: Iterable[str]) -> None:
        """Mask these texts until newer ones displace them."""
        new = _forms(text for text in texts if text not in self._registered) - self._registered
        new -= self._remembered.keys()
        if new:
            with self._lock:
                self._remembered.update(dict.fromkeys(new))
                while len(self._remembered) > MOST_REMEMBERED:
                    self._remembered.popitem(last=False)
                self._sort()

    def mask(self, text: str) -> str:
        """Return the text with all secrets masked."""
        for secret in self._longest_first:
            if secret in text:
                text = _without(text, secret)
        return text

    def knows(self, text: str) -> bool:
        """Return True if the whole text is a secret."""
        return text in self._registered or text in self._remembered

    def holds(self, text: str) -> bool:
        """Return True if the text contains a registered secret, percent-encoded or not."""
        plain = unquote(text)
        return any(
            secret in each and _without(each, secret) != each for secret in self._registered for each in {text, plain}
        )

    def _sort(self) -> None:
        self._longest_first = tuple(sorted(self._registered | self._remembered.keys(), key=len, reverse=True))


SECRETS = Secrets()


def _without(text: str, secret: str) -> str:
    if len(secret) >= SHORTEST_ANYWHERE:
        return text.replace(secret, MASK)
    return re.sub(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", MASK, text)


def _forms(texts: Iterable[str]) -> set[str]:
    """Return the texts as given, percent-encoded and decoded."""
    long = {text for text in texts if len(text) >= SHORTEST}
    return long | {quote(text, safe="") for text in long} | {unquote(text) for text in long}


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text with all known, given and apparent secrets masked: in addresses, headers and fields."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = _USERINFO.sub(_without_password, SECRETS.mask(text))
    text = _PARAMETER.sub(lambda match: f"{match['before']}{MASK}", text)
    text = _FIELD.sub(lambda match: f"{match['before']}{MASK}", text)
    return _BEARER.sub(lambda match: f"{match['before']}{MASK}", text)


def _without_password(match: re.Match[str]) -> str:
    has_password = match["user"] and ":" in match[0].removeprefix(match["before"])
    role = f"{match['user']}:" if has_password and match["before"].lower().startswith(_WITH_ROLE) else ""
    return f"{match['before']}{role}{MASK}@"


def register(raw: str) -> None:
    """Register the value of a secret setting; of an address only its secret parts."""
    SECRETS.register(secrets_of_address(raw) if "://" in raw else [raw])


def register_headers(headers: Mapping[str, str]) -> None:
    """Register the values of a connector's headers."""
    SECRETS.register(part for name, value in headers.items() if name.lower() not in HARMLESS for part in _parts(value))


def remember_request(address: str, headers: Iterable[tuple[str, str]]) -> None:
    """Remember the values that a request sends under sensitive names."""
    if "@" in address or "=" in address:
        SECRETS.remember(secrets_of_address(address))
    if parts := [part for name, value in headers if is_sensitive_name(name) for part in _parts(value)]:
        SECRETS.remember(parts)


def remember_text(text: str) -> None:
    """Remember the values under sensitive names in a body, whole or truncated."""
    SECRETS.remember(match["value"] for match in _FIELD.finditer(text))
    SECRETS.remember(match["value"] for match in _PARAMETER.finditer(f"&{text}"))


def is_harmless_parameter(name: str) -> bool:
    """Return True if the value of a connector's parameter with this name is no secret; other values are masked."""
    return _HARMLESS_PARAMETER.fullmatch(name) is not None


@lru_cache(maxsize=1000)
def is_sensitive_name(name: str) -> bool:
    """Return True if the value of a header or parameter with this name is a secret."""
    return _NAME.fullmatch(name) is not None


@lru_cache(maxsize=1000)
def is_sensitive_header(name: bytes) -> bool:
    """Return True if the value of a header with this name, as it is sent, is a secret."""
    return is_sensitive_name(name.decode("latin-1"))


def secrets_of_address(address: str) -> Iterator[str]:
    """Yield the password, a user that may be a token, and the values of sensitive parameters."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return
    is_role = parts.scheme.startswith(_WITH_ROLE) and parts.username == parts.password
    if parts.password and not is_role:  # if equal, masking it would only hide the role
        yield parts.password
    if parts.username and parts.scheme.startswith("http") and len(parts.username) >= SHORTEST_ANYWHERE:
        yield parts.username
    yield from (value for name, value in parse_qsl(parts.query) if is_sensitive_name(name))


def _parts(value: str) -> list[str]:
    """Return the value of a header, and the part after a scheme such as Bearer."""
    return [value, *value.split(" ", 1)[1:]]


def mask_logs() -> None:
    """Mask every log record of this process at its creation, for all loggers and handlers.

    httpx, for one, logs the whole address of each request at INFO.
    """
    factory = logging.getLogRecordFactory()
    if not isinstance(factory, _MaskingFactory):
        logging.setLogRecordFactory(_MaskingFactory(factory))


class _MaskingFactory:
    def __init__(self, factory: Any) -> None:
        self._factory = factory

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._factory(*args, **kwargs)
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # logging itself reports it
            return record
        masked = redact(message)
        if masked != message:
            record.msg, record.args = masked, ()
        if record.exc_info and record.exc_info[0] and not record.exc_text:
            record.exc_text = redact("".join(traceback.format_exception(*record.exc_info)).rstrip())
        return record


@contextmanager
def masking() -> Iterator[None]:
    """Replace an error that contains a secret by a masked copy. For the outer edge of a process."""
    try:
        yield
    except Exception as error:  # any error may contain a secret; SystemExit and KeyboardInterrupt pass
        copy = masked(error)
        if copy is error:
            raise
        raise copy from copy.__cause__


def masked(error: BaseException) -> BaseException:
    """Return the error, or a copy with name, traceback and masked text if it or its cause contains a secret."""
    whole = "".join(traceback.format_exception(error))
    return error if redact(whole) == whole else _copy(error)


def _copy(error: BaseException) -> BaseException:
    name = type(error).__qualname__
    copy: BaseException = type(name, (Exception,), {"__module__": type(error).__module__})(redact(str(error)))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    copy.__cause__ = None if before is None else _copy(before)
    return copy.with_traceback(error.__traceback__)
