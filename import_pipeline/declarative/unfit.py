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
        self.problem = ""  #: what is wrong, if that is no value


class UnknownKey(Unfit):
    """A key that its group of words does not have. `key` ends with it."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__("another key", "an unknown one", key)
        self.args = (problem,)
        self.problem = problem


class PathMissing(Unfit):
    """A well-formed answer has no value of the right kind at the path that a key names."""


def shown(value: object, most: int = 60) -> str:
    """Return a value as an error quotes it."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def nearest(word: object, known: Iterable[str]) -> str:
    """Return the question for a word that resembles a known one; an empty text if it resembles none."""
    found = resembled(str(word), known)
    return f" (did you mean {found}?)" if found else ""


def resembled(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that a misspelt one resembles most; first of all one of the same letters."""
    by_small_letters, small = {each.lower(): each for each in known}, word.lower()
    swapped = [each for each in by_small_letters if sorted(each) == sorted(small)]
    found = swapped or get_close_matches(small, by_small_letters, 1)
    return by_small_letters[found[0]] if found else None


def unknown_key(key: str, known: Iterable[str], *, takes: str = "") -> str:
    """Return the problem of an unknown key: the known one that it resembles, and what `takes` says about all.

    Without `takes` and a resembled one, the known keys follow.
    """
    names = list(known)
    near = resembled(key, names)
    question = "" if near is None else f" did you mean {near}?"
    listed = f" {takes}" if takes else "" if near is not None else f" the known keys are {', '.join(names)}"
    return f"unknown key {key};{question}{listed}"
