"""Freeze a process, as a suspended machine or a long garbage collection does."""

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path


def freeze(pid: int, home: Path) -> None:
    """Stop the process, but not inside a transaction: on SQLite no other process could write until it continues."""
    while True:
        os.kill(pid, signal.SIGSTOP)
        if all(is_free(path) for path in home.rglob("*.db")):
            return
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.01)


def is_free(path: Path) -> bool:
    """Return True if no transaction writes to the database."""
    with closing(sqlite3.connect(path, timeout=0.05, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
    return True
