"""The meaning of the errors of SQLAlchemy and of the two drivers, read from their codes."""

import sqlite3

from sqlalchemy import exc
from sqlalchemy.engine import URL

from import_pipeline.rules.database_errors import ErrorKind, of_lost_connection, of_sqlite, of_sqlstate


def meaning_of(error: BaseException) -> ErrorKind:
    """Return the meaning of an error.

    An error that SQLAlchemy or a driver raises before the statement is sent (a value that its type refuses, a zero
    byte, half a character) belongs to the row.
    """
    if isinstance(error, exc.TimeoutError | exc.PendingRollbackError):
        return ErrorKind.GONE  # the pool had no connection, or its connection has ended
    if isinstance(error, exc.DBAPIError):
        return _of_driver(error)
    if isinstance(error, exc.StatementError | ValueError | TypeError | OverflowError):
        return ErrorKind.ROW
    return ErrorKind.OTHER


def _of_driver(error: exc.DBAPIError) -> ErrorKind:
    text, code = str(error.orig), getattr(error.orig, "pgcode", None)
    if code:
        return of_sqlstate(code)
    if isinstance(error.orig, sqlite3.Error):
        number = getattr(error.orig, "sqlite_errorcode", None)
        if number is not None:
            return of_sqlite(number, text)
        return ErrorKind.GONE if isinstance(error, exc.OperationalError) else ErrorKind.ROW
    # psycopg2 raises the bare class if a connection ends in the middle of an answer.
    lost = error.connection_invalidated or isinstance(error, exc.OperationalError | exc.InterfaceError)
    if lost or type(error) is exc.DatabaseError:
        return of_lost_connection(text)
    return ErrorKind.ROW  # a value that the driver cannot adapt


#: ErrorKind -> what happens, and what to do about it.
_SENTENCES = {
    ErrorKind.CONFLICT: (
        "has ended the transaction in favour of another one",
        "Find out what else writes to its tables",
    ),
    ErrorKind.LOCKED: ("keeps it waiting for a lock", "Wait for its holder, or end that session"),
    ErrorKind.GONE: ("does not answer", "Check DATABASE_URL and the server"),
    ErrorKind.NO_RIGHT: (
        "refuses a right",
        "Grant it to the role of DATABASE_URL: deploy/postgres-roles.sql shows how",
    ),
    ErrorKind.FULL: ("has no room", "Make room on its disk; what is done is kept"),
    ErrorKind.READ_ONLY: ("cannot be written", "Name the primary in DATABASE_URL, or allow the file to be written"),
    ErrorKind.NO_ENTRY: ("refuses the connection", "Check user and password in DATABASE_URL, and who may connect"),
    ErrorKind.ABSENT: ("cannot be opened", "Check DATABASE_URL: the database, or the file's folder, must be there"),
    ErrorKind.DAMAGED: ("is damaged, or is none", "Restore it from a backup, or name another one in DATABASE_URL"),
}


def is_trouble(meaning: ErrorKind) -> bool:
    """Return True if the error has a sentence of its own: neither the row nor the code causes it."""
    return meaning in _SENTENCES


def sentence(url: URL, error: BaseException, meaning: ErrorKind, more: str | None = None) -> str:
    """Return a sentence about the error for people; `more` replaces the driver's own words."""
    problem, advice = _SENTENCES[meaning]
    where = url.render_as_string(hide_password=True)
    return f"the tracking database {where} {problem}: {more or first_line(error)}. {advice}"


def first_line(error: BaseException) -> str:
    """Return the first line of the driver's message."""
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]


def first_failure(error: BaseException) -> BaseException:
    """Return the first error of a chain: on a full disk SQLite ends a transaction, then a savepoint is missing."""
    found, each = error, error.__context__
    while each is not None:
        found = each if is_trouble(meaning_of(each)) and isinstance(each, exc.SQLAlchemyError) else found
        each = each.__context__
    return found
