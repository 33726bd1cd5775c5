"""The nesting depth of a JSON text, without parsing it: parsers recurse as deep as the text."""

import re

# A string without a closing quote extends to the end, so that no text takes more than one pass.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


def nests_deeper(text: bytes, most: int) -> bool:
    """Return True if arrays and objects nest more than `most` levels; False for a text that does not begin as JSON."""
    if text.lstrip()[:1] not in (b"[", b"{") or text.count(b"[") + text.count(b"{") <= most:
        return False
    depth = 0
    for token in _TOKENS.finditer(text):
        match text[token.start()]:
            case 0x5B | 0x7B:  # [ {
                depth += 1
                if depth > most:
                    return True
            case 0x5D | 0x7D:  # ] }
                depth -= 1
    return False
