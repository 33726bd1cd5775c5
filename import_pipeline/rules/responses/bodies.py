"""Reasons why a body is not what was asked for, seen from outside: a page for people, an encoding that is not read."""

import re
from html import unescape

#: Characters of a body in which its title is looked for.
LOOKED_THROUGH = 4_096
_HTML = re.compile(
    r"\s*(?:<!--.{0,500}?-->\s*|<\?xml[^>]{0,200}>\s*)?<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
_TITLE = re.compile(r"<title\b[^>]{0,200}>([^<]{0,200})", re.I)


def html_page(text: str) -> str | None:
    """`an HTML page titled 'Log in'` if the text is one; else None."""
    beginning = text[:LOOKED_THROUGH].lstrip("\ufeff")
    if _HTML.match(beginning) is None:
        return None
    found = _TITLE.search(beginning)
    title = " ".join(unescape(found[1]).split()) if found else ""
    return f"an HTML page titled {title[:80]!r}" if title else "an HTML page"


def unread_encodings(content_encoding: str, offered: str) -> list[str]:
    """The codings of a body that were not offered to the server, so that nothing here unpacks them."""
    names = [each.strip().lower() for each in content_encoding[:500].split(",")]
    known = {each.partition(";")[0].strip().lower() for each in offered.split(",")} | {"", "identity"}
    return [each for each in names if each not in known]
