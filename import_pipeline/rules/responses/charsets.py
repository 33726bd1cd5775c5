"""The text in a body's bytes, whatever the server says of them: no declared charset makes any of this fail."""

import codecs
import json
import re

_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([^\s;"',]{1,60})""", re.IGNORECASE)
#: Codecs of Python that no charset of the web means; decoding some of them takes the square of the length.
_NO_CHARSETS = frozenset({"idna", "mbcs", "oem", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})
#: Charsets of seven bits that switch: such bytes are good UTF-8, too, with another meaning.
_SWITCHING = ("iso2022", "hz", "utf-7")
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


def declared_charset(content_type: str) -> str | None:
    """Python's name of the charset that a Content-Type declares; None if there is none, or it is none of text."""
    found = _CHARSET.search(content_type[:1000])
    if found is None:
        return None
    try:
        name = codecs.lookup(found[1]).name
        b"x".decode(name, "replace")  # refuses what turns bytes into bytes, such as zlib
    except (LookupError, ValueError):
        return None
    return None if name.replace("_", "-") in _NO_CHARSETS else name


def charset_of(content: bytes, content_type: str) -> str | None:
    """The charset by which the bytes are read: the declared one if it can be, else what they look like.

    None stands for UTF-8.
    """
    name = declared_charset(content_type)
    if name in {"utf-16", "utf-32"} and not content.startswith(_MARKS):
        guessed = json.detect_encoding(content)  # RFC 2781, 4.3, says big endian; senders do not keep to it
        return guessed if guessed.startswith(("utf-16", "utf-32")) else None
    return name


def text_of(content: bytes, content_type: str) -> str:
    """The bytes as text; what is no character in their charset becomes a replacement character."""
    return content.decode(charset_of(content, content_type) or "utf-8", "replace")


def json_text(content: bytes, content_type: str) -> str | None:
    """The text of a JSON body whose declared charset is to be used first; None if its bytes tell theirs (RFC 8259)."""
    name = declared_charset(content_type)
    return _strictly(content, name) if name is not None and name.startswith(_SWITCHING) else None


def json_text_as_declared(content: bytes, content_type: str) -> str | None:
    """The text of a JSON body that is in no Unicode charset, as declared; None if it is not that either."""
    name = declared_charset(content_type)
    return None if name is None else _strictly(content, name)


def _strictly(content: bytes, charset: str) -> str | None:
    try:
        return content.decode(charset)
    except ValueError:
        return None
