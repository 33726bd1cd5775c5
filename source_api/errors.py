"""What can go wrong with the demo API itself.

SourceApiError
├── BadOption          an option has a value that means nothing
├── ConnectionDropped  a `drop` fault, where no server is there to close the connection
└── ServerDied         the process ended, or said nothing, before it listened
"""


class SourceApiError(Exception):
    """Anything that the demo API refuses or cannot do."""


class BadOption(SourceApiError, ValueError):
    """An option has a value that means nothing; the text says what was expected."""

    def __init__(self, option: str, *, expected: str, got: object) -> None:
        super().__init__(f"{option}: expected {expected}, got {got!r}")
        self.option = option


class ConnectionDropped(SourceApiError, ConnectionError):
    """A `drop` fault under an in-process transport: there is no connection that could be closed."""


class ServerDied(SourceApiError):
    """The server's process ended, or said nothing, before it listened."""
