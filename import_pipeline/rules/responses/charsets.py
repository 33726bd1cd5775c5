"""Decoding of bodies. A wrong or unknown declared charset never makes it fail."""

import codecs
import json
import re

_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([^\s;"',]{1,60})""", re.IGNORECASE)
#: Codecs of Python that are no charset of the web; some of them need quadratic time.
_NO_CHARSETS = frozenset({"idna", "mbcs", "oem", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})
#: Seven-bit charsets with escape sequences: their bytes are valid UTF-8, too, with another meaning.
_SWITCHING = ("iso2022", "hz", "utf-7")
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


def declared_charset(content_type: str) -> str | None:
    """Return Python's name of the charset in a Content-Type; None if there is none, or it is not for text."""
    found = _CHARSET.search(content_type[:1000])
    if found is None:
        return None
    try:
        name = codecs.lookup(found[1]).name
        b"x".decode(name, "replace")  # refuses codecs from bytes to bytes, such as zlib
    except (LookupError, ValueError):
        return None
    return None if name.replace("_", "-") in _NO_CHARSETS else name


def charset_of(content: bytes, content_type: str) -> str | None:
    """Return the charset to decode the bytes with: the declared one if possible, otherwise a guess from the bytes.

    None stands for UTF-8.
    """
    name = declared_charset(content_type)
    if name in {"utf-16", "utf-32"} and not content.startswith(_MARKS):
        guessed = json.detect_encoding(content)  # RFC 2781, 4.3, says big endian; senders do not keep to it
        return guessed if guessed.startswith(("utf-16", "utf-32")) else None
    return name


def text_of(content: bytes, content_type: str) -> str:
    """Return the bytes as text; invalid bytes become replacement characters."""
    return content.decode(charset_of(content, content_type) or "utf-8", "replace")


def json_text(content: bytes, content_type: str) -> str | None:
    """Return a JSON body's text by its declared charset, if that has escape sequences; otherwise None (RFC 8259)."""
    name = declared_charset(content_type)
    return _strictly(content, name) if name is not None and name.startswith(_SWITCHING) else None


def json_text_as_declared(content: bytes, content_type: str) -> str | None:
    """Return the text of a JSON body by its declared charset, after Unicode has failed; None if that fails, too."""
    name = declared_charset(content_type)
    return None if name is None else _strictly(content, name)


def _strictly(content: bytes, charset: str) -> str | None:
    try:
        return content.decode(charset)
    except ValueError:
        return None
