"""Masking of secrets in what is logged, stored or shown."""

import logging
import re
from collections.abc import Iterable, Mapping

MASK = "***"

#: Query parameters, headers and JSON keys whose value is nobody's business.
TELLING_NAME = (
    r"(?:[\w-]*(?:token|secret|password|passwd|pwd|signature|credential|api[_-]?key|apikey|access[_-]?key|session)"
    r"[\w-]*|auth|authorization|key|sig|code|jwt|cookie|set-cookie|proxy-authorization)"
)
_USERINFO = re.compile(r"(?P<before>\b[a-z][a-z0-9+.-]*://)(?P<user>[^\s/?#@:]*)(?::[^\s/?#@]*)?@", re.IGNORECASE)
_PARAMETER = re.compile(rf"(?P<before>[?&;](?P<name>{TELLING_NAME})=)[^\s&#;\"'<>]*", re.IGNORECASE)
_BEARER = re.compile(r"(?P<before>\b(?:bearer|basic)\s+)[\w.~+/=-]+", re.IGNORECASE)
_HEADER = re.compile(TELLING_NAME, re.IGNORECASE)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with the secrets in its URLs masked (user info, telling parameters), and all given ones."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = _USERINFO.sub(lambda match: f"{match['before']}{MASK}@", text)
    text = _PARAMETER.sub(lambda match: f"{match['before']}{MASK}", text)
    return _BEARER.sub(lambda match: f"{match['before']}{MASK}", text)


def redact_headers(headers: Mapping[str, str], secrets: Iterable[str] = ()) -> dict[str, str]:
    """The headers with telling ones masked whole, and the others as any text."""
    known = tuple(secrets)
    return {name: MASK if _HEADER.fullmatch(name) else redact(value, known) for name, value in headers.items()}


class RedactingFilter(logging.Filter):
    """Masks the finished message of every record that passes; on a handler or on a logger such as `httpx`.

    httpx logs each request's whole URL at INFO.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything pass, masked."""
        message = record.getMessage()
        masked = redact(message, self._secrets)
        if masked != message:
            record.msg, record.args = masked, ()
        if record.exc_info and not record.exc_text:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info), self._secrets)
        return True
