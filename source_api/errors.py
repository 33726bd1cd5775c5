"""The errors of the demo API itself.

SourceApiError
├── BadOption          an option has an invalid value
├── ConnectionDropped  a `drop` fault, but no server holds the connection
└── ServerDied         the server's process ended or stayed silent before it listened
"""


class SourceApiError(Exception):
    """The base class of all errors of the demo API."""


class BadOption(SourceApiError, ValueError):
    """An option has an invalid value; the message says what was expected."""

    def __init__(self, option: str, *, expected: str, got: object) -> None:
        super().__init__(f"{option}: expected {expected}, got {got!r}")
        self.option = option


class ConnectionDropped(SourceApiError, ConnectionError):
    """A `drop` fault under an in-process transport, which has no connection to close."""


class ServerDied(SourceApiError):
    """The server's process ended, or stayed silent, before it listened."""
