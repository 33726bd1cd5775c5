"""Texts that may be the id of an item: every database stores them. No I/O."""

LONGEST_ID = 255


def is_storable(text: str) -> bool:
    """Return True if every database accepts the text: no zero byte, no half of a surrogate pair."""
    return "\0" not in text and text.encode(errors="replace").decode() == text


def is_external_id(text: str) -> bool:
    """Return True if the text may be the id of an item."""
    return 0 < len(text) <= LONGEST_ID and is_storable(text)
