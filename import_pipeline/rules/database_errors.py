"""The meaning of a database's error: a fault of the row, a moment to wait out, or trouble that a person must mend.

The codes decide, never the class of the driver's exception: psycopg2 raises one class for a row that is too large, a
deadlock and a server that is gone.
"""

from collections.abc import Mapping
from enum import StrEnum

# SQLite's primary result codes (https://sqlite.org/rescode.html); an extended code holds its primary one in a byte.
SQLITE_ERROR, SQLITE_PERM, SQLITE_BUSY, SQLITE_LOCKED, SQLITE_READONLY, SQLITE_IOERR = 1, 3, 5, 6, 8, 10
SQLITE_CORRUPT, SQLITE_FULL, SQLITE_CANTOPEN, SQLITE_PROTOCOL, SQLITE_TOOBIG = 11, 13, 14, 15, 18
SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_RANGE, SQLITE_NOTADB = 19, 20, 25, 26


class ErrorKind(StrEnum):
    """What an error of the database says, and so what is to be done about it."""

    ROW = "row"  #: the database refuses this row: its item fails, all else is stored
    MODEL = "model"  #: the table is not what the model says: no row of that kind can be written
    CONFLICT = "conflict"  #: the transaction lost against another one: it is repeated at once
    LOCKED = "locked"  #: another session holds what is needed: it is waited for
    GONE = "gone"  #: the connection has ended or none can be had: it is tried again
    NO_RIGHT = "no right"  #: the role may not do that
    FULL = "full"  #: there is no room
    READ_ONLY = "read only"  #: nobody may write: a replica, or a file without that right
    NO_ENTRY = "no entry"  #: password, role or host are refused
    ABSENT = "absent"  #: no database of that name, or no file where it should be
    REPLACED = "replaced"  #: the file that was opened is no longer the one on the disk
    DAMAGED = "damaged"  #: the file is no database, or its content is broken
    OTHER = "other"  #: anything else; it is raised as it is

    @property
    def is_refusal(self) -> bool:
        """It concerns the row or the model, not the database itself."""
        return self in {ErrorKind.ROW, ErrorKind.MODEL}

    @property
    def may_pass(self) -> bool:
        """The same unit of work may succeed at another moment."""
        return self in {ErrorKind.CONFLICT, ErrorKind.LOCKED, ErrorKind.GONE}


#: SQLSTATE classes (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_CLASSES: Mapping[str, ErrorKind] = {
    "08": ErrorKind.GONE,  # connection exception
    "09": ErrorKind.ROW,  # triggered action exception
    "21": ErrorKind.ROW,  # cardinality violation: one row twice in a statement
    "22": ErrorKind.ROW,  # data exception
    "23": ErrorKind.ROW,  # integrity constraint violation
    "27": ErrorKind.ROW,  # triggered data change violation
    "28": ErrorKind.NO_ENTRY,  # invalid authorization specification
    "38": ErrorKind.ROW,  # external routine exception
    "39": ErrorKind.ROW,  # external routine invocation exception
    "40": ErrorKind.CONFLICT,  # transaction rollback
    "44": ErrorKind.ROW,  # with check option violation
    "53": ErrorKind.GONE,  # insufficient resources: too many connections, out of memory
    "54": ErrorKind.ROW,  # program limit exceeded: a row or an index entry too large
    "57": ErrorKind.GONE,  # operator intervention: shutdown, crash, starting up, idle sessions ended
    "58": ErrorKind.GONE,  # system error outside of Postgres
    "P0": ErrorKind.ROW,  # raised by a trigger or function
    "XX": ErrorKind.GONE,  # internal error; poolers say so of themselves, too
}
#: Codes that say something else than their class.
_CODES: Mapping[str, ErrorKind] = {
    "25006": ErrorKind.READ_ONLY,
    "25P03": ErrorKind.GONE,  # ended as idle in its transaction
    "25P04": ErrorKind.GONE,  # the transaction took too long
    "3D000": ErrorKind.ABSENT,
    "3F000": ErrorKind.MODEL,  # no such schema
    "40002": ErrorKind.ROW,  # a constraint, found broken at the commit
    "42501": ErrorKind.NO_RIGHT,
    "42703": ErrorKind.MODEL,  # undefined column
    "42704": ErrorKind.MODEL,  # undefined object, such as a type
    "42804": ErrorKind.MODEL,  # datatype mismatch
    "42846": ErrorKind.MODEL,  # cannot coerce
    "42883": ErrorKind.MODEL,  # undefined function or operator
    "428C9": ErrorKind.MODEL,  # a generated column is written
    "42P01": ErrorKind.MODEL,  # undefined table
    "42P10": ErrorKind.MODEL,  # no unique constraint that ON CONFLICT could mean
    "42P22": ErrorKind.MODEL,  # no collation
    "53100": ErrorKind.FULL,
    "55P03": ErrorKind.LOCKED,
    "57014": ErrorKind.LOCKED,  # statement_timeout, or cancelled by an operator
    "57P04": ErrorKind.ABSENT,  # the database was dropped
    "XX001": ErrorKind.DAMAGED,  # data corrupted
    "XX002": ErrorKind.DAMAGED,  # index corrupted
}
_SQLITE: Mapping[int, ErrorKind] = {
    SQLITE_PERM: ErrorKind.NO_RIGHT,
    SQLITE_BUSY: ErrorKind.LOCKED,
    SQLITE_LOCKED: ErrorKind.LOCKED,
    SQLITE_PROTOCOL: ErrorKind.LOCKED,  # too many took and gave back the lock of the write-ahead log
    SQLITE_READONLY: ErrorKind.READ_ONLY,
    SQLITE_IOERR: ErrorKind.GONE,
    SQLITE_CORRUPT: ErrorKind.DAMAGED,
    SQLITE_FULL: ErrorKind.FULL,
    SQLITE_CANTOPEN: ErrorKind.ABSENT,
    SQLITE_TOOBIG: ErrorKind.ROW,
    SQLITE_CONSTRAINT: ErrorKind.ROW,
    SQLITE_MISMATCH: ErrorKind.ROW,
    SQLITE_RANGE: ErrorKind.ROW,
    SQLITE_NOTADB: ErrorKind.DAMAGED,
}
#: SQLite has one code for all that is wrong with a statement; these are its words where the table is not the model's.
_SQLITE_MODEL = ("no such column", "has no column named", "no such table", "cannot INSERT into generated column")
#: A connection that is refused has no code in psycopg2: libpq keeps it to itself. The server's words, where English.
_REFUSED_ENTRY = (
    "password authentication failed",
    "no pg_hba.conf entry",
    "no password supplied",
    "is not permitted to log in",
    "peer authentication failed",
    "ident authentication failed",
)


def of_sqlstate(code: str) -> ErrorKind:
    """The meaning of Postgres' five characters."""
    return _CODES.get(code) or _CLASSES.get(code[:2], ErrorKind.OTHER)


def of_sqlite(code: int, message: str) -> ErrorKind:
    """The meaning of SQLite's result code, extended or not; the message decides where the code is SQLITE_ERROR."""
    primary = code & 0xFF
    if primary == SQLITE_ERROR:
        return ErrorKind.MODEL if any(each in message for each in _SQLITE_MODEL) else ErrorKind.OTHER
    return _SQLITE.get(primary, ErrorKind.OTHER)


def of_lost_connection(message: str) -> ErrorKind:
    """The meaning of an error without a code: a connection that could not be made, or has ended."""
    if any(each in message for each in _REFUSED_ENTRY) or ("role " in message and "does not exist" in message):
        return ErrorKind.NO_ENTRY
    if "database " in message and "does not exist" in message:
        return ErrorKind.ABSENT
    return ErrorKind.GONE
