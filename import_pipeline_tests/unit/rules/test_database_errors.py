"""The meaning of a database's error, by its code."""

import pytest

from import_pipeline.rules.database_errors import ErrorKind, of_lost_connection, of_sqlite, of_sqlstate


@pytest.mark.parametrize(
    ("codes", "meaning"),
    [
        ("22001 22003 22021 22P02 22P05 23502 23505 23514 54000 54023 21000 P0001 40002 44000", ErrorKind.ROW),
        ("42703 42P01 42P10 42804", ErrorKind.MODEL),
        ("40001 40P01 40003", ErrorKind.CONFLICT),
        ("55P03 57014", ErrorKind.LOCKED),
        ("XX000 08000 08003 08006 57P01 57P02 57P03 57P05 53300 25P03", ErrorKind.GONE),
        ("42501", ErrorKind.NO_RIGHT),
        ("53100", ErrorKind.FULL),
        ("25006", ErrorKind.READ_ONLY),
        ("28000 28P01", ErrorKind.NO_ENTRY),
        ("3D000 57P04", ErrorKind.ABSENT),
        ("XX001 XX002", ErrorKind.DAMAGED),
        ("42601 0A000 99999", ErrorKind.OTHER),
    ],
)
def test_the_meaning_of_a_sqlstate(codes: str, meaning: ErrorKind) -> None:
    assert {of_sqlstate(code) for code in codes.split()} == {meaning}


@pytest.mark.parametrize(
    ("code", "message", "meaning"),
    [
        (2067, "UNIQUE constraint failed: things.name", ErrorKind.ROW),
        (18, "string or blob too big", ErrorKind.ROW),
        (1, "table things has no column named size", ErrorKind.MODEL),
        (1, "no such column: size", ErrorKind.MODEL),
        (1, 'near "selec": syntax error', ErrorKind.OTHER),
        (5, "database is locked", ErrorKind.LOCKED),
        (517, "database is locked", ErrorKind.LOCKED),  # SQLITE_BUSY_SNAPSHOT
        (10 | 1 << 8, "disk I/O error", ErrorKind.GONE),
        (13, "database or disk is full", ErrorKind.FULL),
        (8 | 4 << 8, "attempt to write a readonly database", ErrorKind.READ_ONLY),
        (14, "unable to open database file", ErrorKind.ABSENT),
        (26, "file is not a database", ErrorKind.DAMAGED),
    ],
)
def test_the_meaning_of_a_result_code_of_sqlite(code: int, message: str, meaning: ErrorKind) -> None:
    assert of_sqlite(code, message) == meaning


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ("server closed the connection unexpectedly", ErrorKind.GONE),
        ('connection to server at "127.0.0.1", port 1 failed: Connection refused', ErrorKind.GONE),
        ("FATAL:  the database system is starting up", ErrorKind.GONE),
        ('FATAL:  password authentication failed for user "me"', ErrorKind.NO_ENTRY),
        ('FATAL:  role "me" does not exist', ErrorKind.NO_ENTRY),
        ('FATAL:  database "mine" does not exist', ErrorKind.ABSENT),
    ],
)
def test_the_meaning_of_a_connection_that_ended(message: str, meaning: ErrorKind) -> None:
    assert of_lost_connection(message) == meaning


@pytest.mark.parametrize("meaning", ErrorKind)
def test_a_meaning_is_of_the_row_or_of_the_moment_or_of_neither(meaning: ErrorKind) -> None:
    assert not (meaning.is_refusal and meaning.may_pass)
