"""How deep a JSON text nests, told without parsing it: parsers go as deep as the text does."""

import re

# A string that nobody closes goes to the end, so that no text takes more than one pass.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


def nests_deeper(text: bytes, most: int) -> bool:
    """Whether arrays and objects nest more than that many levels. A text that begins as no JSON does never nests."""
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
