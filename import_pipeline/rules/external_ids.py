"""Texts that every database stores, and those that may be the id of an item. No I/O."""

LONGEST_ID = 255


def storable(text: str) -> str:
    """Replace the characters that no database stores: a zero byte, half of a surrogate pair."""
    return text.encode(errors="replace").decode().replace("\0", "?")


def is_storable(text: str) -> bool:
    """Return True if every database accepts the text as it is."""
    return storable(text) == text


def is_external_id(text: str) -> bool:
    """Return True if the text may be the id of an item."""
    return 0 < len(text) <= LONGEST_ID and is_storable(text)
