"""Reasons why a body is not the expected one: an HTML page, or an encoding that is not supported."""

import re
from html import unescape

#: Characters of a body that are searched for a title.
SEARCHED = 4_096
_HTML = re.compile(
    r"\s*(?:<!--.{0,500}?-->\s*|<\?xml[^>]{0,200}>\s*)?<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
_TITLE = re.compile(r"<title\b[^>]{0,200}>([^<]{0,200})", re.I)


def html_page(text: str) -> str | None:
    """Return `an HTML page titled 'Log in'` if the text is one; otherwise None."""
    beginning = text[:SEARCHED].lstrip("\ufeff")
    if _HTML.match(beginning) is None:
        return None
    found = _TITLE.search(beginning)
    title = " ".join(unescape(found[1]).split()) if found else ""
    return f"an HTML page titled {title[:80]!r}" if title else "an HTML page"


def unread_encodings(content_encoding: str, offered: str) -> list[str]:
    """Return the encodings of a body that the request did not accept, and that nothing here unpacks."""
    names = [each.strip().lower() for each in content_encoding[:500].split(",")]
    known = {each.partition(";")[0].strip().lower() for each in offered.split(",")} | {"", "identity"}
    return [each for each in names if each not in known]
