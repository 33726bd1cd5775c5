"""The error of one key of a declaration, before the source's name is known."""

from collections.abc import Iterable
from difflib import get_close_matches


class Unfit(ValueError):
    """A value that a key does not take. `key` is a path below the key that was read, such as `total.type`.

    `question` follows the value: `nearest` asks it. It has known words only, so it may be shown without the value.
    """

    def __init__(self, expected: str, got: str, key: str = "", *, question: str = "") -> None:
        super().__init__(f"expected {expected}, got {got}{question}")
        self.expected = expected
        self.got = got + question
        self.key = key
        self.question = question


class PathMissing(Unfit):
    """A well-formed answer has no value of the right kind at the path that a key names."""


def shown(value: object, most: int = 60) -> str:
    """Return a value as an error quotes it."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def nearest(word: object, known: Iterable[str]) -> str:
    """Return the question for a word that resembles a known one; an empty text if it resembles none."""
    by_small_letters = {each.lower(): each for each in known}
    found = get_close_matches(str(word).lower(), by_small_letters, 1)
    return f" (did you mean {by_small_letters[found[0]]}?)" if found else ""
