"""The error of one key of a declaration, before the source's name is known."""


class Unfit(ValueError):
    """A value that a key does not take. `key` is a path below the key that was read, such as `total.type`."""

    def __init__(self, expected: str, got: str, key: str = "") -> None:
        super().__init__(f"expected {expected}, got {got}")
        self.expected = expected
        self.got = got
        self.key = key


def shown(value: object, most: int = 60) -> str:
    """Return a value as an error quotes it."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."
