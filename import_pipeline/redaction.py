"""Masking of secrets in what is logged, stored or shown: the one place that knows which texts are secret.

Secrets are told here where they are read (`keep`: settings, headers of a connector) or sent (`meet`: headers, telling
parameters), and everything that is written down for people passes `redact`. What is known is known to the whole
process: a log handler or a column's type cannot be handed a list of secrets.
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
#: A shorter secret would mask half of what is said, and hides nothing.
SHORTEST = 4
#: A shorter secret may be a word or a part of one: it is masked only where it stands alone.
SHORTEST_ANYWHERE = 12
#: Secrets of single requests and answers that are remembered; the oldest are forgotten.
MOST_MET = 500

#: Words that make the name of a parameter, header or field a telling one: its value is nobody's business.
_WORD = r"(?:token|secret|password|passwd|pwd|signature|credential|api[_-]?key|apikey|access[_-]?key|session)"
_PART = rf"[\w-]{{0,40}}{_WORD}[\w-]{{0,40}}"
_FIELD_NAME = rf"(?:{_PART}|auth|authorization|jwt|cookie|set-cookie|proxy-authorization)"
TELLING_NAME = rf"(?:{_FIELD_NAME}|key|sig|code)"
# What can begin anywhere is bounded, so that no text costs more than linear time: a scheme has 31 characters at most.
_USERINFO = re.compile(r"(?P<before>\b[a-z][a-z0-9+.-]{0,30}://)(?P<user>[^\s/?#@:]*)(?::[^\s/?#@]*)?@", re.IGNORECASE)
#: Whose addresses name a role before the password, which is told: at an API it may be a token.
_WITH_ROLE = ("postgres", "redis")
_PARAMETER = re.compile(rf"(?P<before>[?&;]{TELLING_NAME}=)(?P<value>[^\s&#;\"'<>]*)", re.IGNORECASE)
_BEARER = re.compile(r"(?P<before>\b(?:bearer|basic)\s+)[\w.~+/=-]+", re.IGNORECASE)
#: A field of JSON, or of a dict as Python prints it; of a text that breaks off, too.
_FIELD = re.compile(
    rf"""(?P<before>(?P<mark>["']){_FIELD_NAME}(?P=mark)\s*:\s*(?P<quote>["']))"""
    r"""(?P<value>(?:\\.|(?!(?P=quote))[^\\])*)""",
    re.IGNORECASE | re.DOTALL,
)
_NAME = re.compile(TELLING_NAME, re.IGNORECASE)
#: Headers of a connector whose values are no secrets.
HARMLESS = frozenset(
    {"accept", "accept-charset", "accept-encoding", "accept-language", "connection", "content-type", "host"}
    | {"user-agent"}
)


class Secrets:
    """Texts that are never to be shown, and how to mask them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: frozenset[str] = frozenset()
        self._met: OrderedDict[str, None] = OrderedDict()
        self._longest_first: tuple[str, ...] = ()

    def keep(self, texts: Iterable[str]) -> None:
        """Know these for as long as the process lives."""
        new = _forms(texts) - self._kept
        if new:
            with self._lock:
                self._kept |= new
                self._sort()

    def meet(self, texts: Iterable[str]) -> None:
        """Know these for a while."""
        new = _forms(texts) - self._kept - self._met.keys()
        if new:
            with self._lock:
                self._met.update(dict.fromkeys(new))
                while len(self._met) > MOST_MET:
                    self._met.popitem(last=False)
                self._sort()

    def mask(self, text: str) -> str:
        """The text without any of them."""
        for secret in self._longest_first:
            if secret in text:
                text = _without(text, secret)
        return text

    def knows(self, text: str) -> bool:
        """Whether the whole text is one of them."""
        return text in self._kept or text in self._met

    def holds(self, text: str) -> bool:
        """Return True if a secret of settings or of a connector stands in the text, encoded for addresses or not."""
        plain = unquote(text)
        return any(secret in each and _without(each, secret) != each for secret in self._kept for each in {text, plain})

    def _sort(self) -> None:
        self._longest_first = tuple(sorted(self._kept | self._met.keys(), key=len, reverse=True))


SECRETS = Secrets()


def _without(text: str, secret: str) -> str:
    if len(secret) >= SHORTEST_ANYWHERE:
        return text.replace(secret, MASK)
    return re.sub(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", MASK, text)


def _forms(texts: Iterable[str]) -> set[str]:
    """The texts as they are, and as an address holds them."""
    long = {text for text in texts if len(text) >= SHORTEST}
    return long | {quote(text, safe="") for text in long} | {unquote(text) for text in long}


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with all known secrets masked, those given, and what looks like one: in addresses, headers, fields."""
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


def keep(raw: str) -> None:
    """Know the value of a secret setting: of an address only what is secret in it."""
    SECRETS.keep(secrets_of_address(raw) if "://" in raw else [raw])


def keep_headers(headers: Mapping[str, str]) -> None:
    """Know the values of a connector's own headers."""
    SECRETS.keep(part for name, value in headers.items() if name.lower() not in HARMLESS for part in _parts(value))


def meet_request(address: str, headers: Iterable[tuple[str, str]]) -> None:
    """Know for a while what a request sends under telling names."""
    if "@" in address or "=" in address:
        SECRETS.meet(secrets_of_address(address))
    SECRETS.meet(part for name, value in headers if is_sensitive_name(name) for part in _parts(value))


def meet_text(text: str) -> None:
    """Know for a while what stands under telling names in a body, whole or broken."""
    SECRETS.meet(match["value"] for match in _FIELD.finditer(text))
    SECRETS.meet(match["value"] for match in _PARAMETER.finditer(f"&{text}"))


@lru_cache(maxsize=1000)
def is_sensitive_name(name: str) -> bool:
    """Whether the value of a header or parameter of that name is nobody's business."""
    return _NAME.fullmatch(name) is not None


def secrets_of_address(address: str) -> Iterator[str]:
    """The password, the user where that is a token itself, and the values of telling parameters."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return
    is_role = parts.scheme.startswith(_WITH_ROLE) and parts.username == parts.password
    if parts.password and not is_role:  # which hides nothing, and masked it would hide the role's name only
        yield parts.password
    if parts.username and parts.scheme.startswith("http") and len(parts.username) >= SHORTEST_ANYWHERE:
        yield parts.username
    yield from (value for name, value in parse_qsl(parts.query) if is_sensitive_name(name))


def _parts(value: str) -> list[str]:
    """A header's value, and what follows a scheme such as Bearer."""
    return [value, *value.split(" ", 1)[1:]]


def mask_logs() -> None:
    """Mask every log record of this process where it is made, whoever makes and whatever handles it.

    httpx logs each request's whole address at INFO.
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
        except (TypeError, ValueError, KeyError):  # logging itself will complain of it
            return record
        masked = redact(message)
        if masked != message:
            record.msg, record.args = masked, ()
        if record.exc_info and record.exc_info[0] and not record.exc_text:
            record.exc_text = redact("".join(traceback.format_exception(*record.exc_info)).rstrip())
        return record


@contextmanager
def masking() -> Iterator[None]:
    """At the edge of a process: an error that tells a secret leaves as a copy that does not."""
    try:
        yield
    except Exception as error:  # any may tell a secret; what ends a process goes past
        copy = masked(error)
        if copy is error:
            raise
        raise copy from copy.__cause__


def masked(error: BaseException) -> BaseException:
    """The error itself where neither it nor what caused it tells a secret; else a copy of its name, place and text."""
    whole = "".join(traceback.format_exception(error))
    return error if redact(whole) == whole else _copy(error)


def _copy(error: BaseException) -> BaseException:
    name = type(error).__qualname__
    copy: BaseException = type(name, (Exception,), {"__module__": type(error).__module__})(redact(str(error)))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    copy.__cause__ = None if before is None else _copy(before)
    return copy.with_traceback(error.__traceback__)
