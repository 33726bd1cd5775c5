"""The meaning of what SQLAlchemy and the two drivers raise, read from the codes that they carry."""

import sqlite3

from sqlalchemy import exc

from import_pipeline.rules.database_errors import Meaning, of_lost_connection, of_sqlite, of_sqlstate


def meaning_of(error: BaseException) -> Meaning:
    """What the error says.

    What SQLAlchemy or a driver raises before the database sees a statement (a value that its type refuses, a zero
    byte, half a character) is of the row.
    """
    if isinstance(error, exc.TimeoutError | exc.PendingRollbackError):
        return Meaning.GONE  # the pool had no connection, or the one that was used has ended
    if isinstance(error, exc.DBAPIError):
        return _of_driver(error)
    if isinstance(error, exc.StatementError | ValueError | TypeError | OverflowError):
        return Meaning.ROW
    return Meaning.OTHER


def _of_driver(error: exc.DBAPIError) -> Meaning:
    said, code = str(error.orig), getattr(error.orig, "pgcode", None)
    if code:
        return of_sqlstate(code)
    if isinstance(error.orig, sqlite3.Error):
        number = getattr(error.orig, "sqlite_errorcode", None)
        return Meaning.ROW if number is None else of_sqlite(number, said)
    # The bare class is psycopg2's for a connection that ended in the middle of an answer.
    lost = error.connection_invalidated or isinstance(error, exc.OperationalError | exc.InterfaceError)
    if lost or type(error) is exc.DatabaseError:
        return of_lost_connection(said)
    return Meaning.ROW  # a value that the driver cannot adapt
