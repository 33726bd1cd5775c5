"""Classify database errors: a bad row, a passing condition, or a fault that a person must fix. No I/O.

The codes decide, never the class of the driver's exception: psycopg2 raises one class for a row that is too large, a
deadlock and a lost server.
"""

from collections.abc import Mapping
from enum import StrEnum

# SQLite's primary result codes (https://sqlite.org/rescode.html); an extended code holds its primary one in a byte.
SQLITE_ERROR, SQLITE_PERM, SQLITE_BUSY, SQLITE_LOCKED, SQLITE_READONLY, SQLITE_IOERR = 1, 3, 5, 6, 8, 10
SQLITE_CORRUPT, SQLITE_FULL, SQLITE_CANTOPEN, SQLITE_PROTOCOL, SQLITE_TOOBIG = 11, 13, 14, 15, 18
SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_RANGE, SQLITE_NOTADB = 19, 20, 25, 26


class ErrorKind(StrEnum):
    """The kinds of database errors, by what to do about them."""

    ROW = "row"  #: the database refuses this row: its item fails, the others are stored
    MODEL = "model"  #: the table does not match the model: none of its rows can be written
    CONFLICT = "conflict"  #: the transaction lost against another one: repeat it immediately
    LOCKED = "locked"  #: another session holds a lock: wait for it
    GONE = "gone"  #: the connection has ended, or none is available: try again
    NO_RIGHT = "no right"  #: the role lacks a privilege
    FULL = "full"  #: no space is left
    READ_ONLY = "read only"  #: not writable: a replica, or a file without write permission
    NO_ENTRY = "no entry"  #: the password, role or host is refused
    ABSENT = "absent"  #: no database of that name, or no such file
    REPLACED = "replaced"  #: the opened file is no longer the one on the disk
    DAMAGED = "damaged"  #: the file is not a database, or is corrupt
    OTHER = "other"  #: anything else; raised unchanged

    @property
    def is_refusal(self) -> bool:
        """True if the row or the model is at fault, not the database itself."""
        return self in {ErrorKind.ROW, ErrorKind.MODEL}

    @property
    def may_pass(self) -> bool:
        """True if the same unit of work may succeed later."""
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
    "XX": ErrorKind.GONE,  # internal error; connection poolers report it as well
}
#: Codes whose meaning differs from that of their class.
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
    SQLITE_PROTOCOL: ErrorKind.LOCKED,  # the lock of the write-ahead log changed hands too often
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
#: SQLite has one code for all faults of a statement; these messages mean that the table does not match the model.
_SQLITE_MODEL = ("no such column", "has no column named", "no such table", "cannot INSERT into generated column")
#: psycopg2 has no code for a refused connection (libpq drops it), so the server's English messages decide.
_REFUSED_ENTRY = (
    "password authentication failed",
    "no pg_hba.conf entry",
    "no password supplied",
    "is not permitted to log in",
    "peer authentication failed",
    "ident authentication failed",
)


def of_sqlstate(code: str) -> ErrorKind:
    """Classify a SQLSTATE, Postgres' five-character code."""
    return _CODES.get(code) or _CLASSES.get(code[:2], ErrorKind.OTHER)


def of_sqlite(code: int, message: str) -> ErrorKind:
    """Classify SQLite's result code, extended or not; for SQLITE_ERROR the message decides."""
    primary = code & 0xFF
    if primary == SQLITE_ERROR:
        return ErrorKind.MODEL if any(each in message for each in _SQLITE_MODEL) else ErrorKind.OTHER
    return _SQLITE.get(primary, ErrorKind.OTHER)


def of_lost_connection(message: str) -> ErrorKind:
    """Classify an error without a code: a connection that failed or has ended."""
    if any(each in message for each in _REFUSED_ENTRY) or ("role " in message and "does not exist" in message):
        return ErrorKind.NO_ENTRY
    if "database " in message and "does not exist" in message:
        return ErrorKind.ABSENT
    return ErrorKind.GONE
