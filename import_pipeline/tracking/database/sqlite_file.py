"""The file of a SQLite database: detect that it was deleted or replaced while open."""

from pathlib import Path

from import_pipeline.errors import DatabaseUnavailable
from import_pipeline.rules.database_errors import ErrorKind


class DatabaseFile:
    """The identity of a file in the file system. Writes to a deleted file succeed, and are lost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: tuple[int, int] | None = None

    def opened(self) -> None:
        """Remember the file of the first connection."""
        self._opened = self._opened or self._found()

    def check(self) -> None:
        """Raise DatabaseUnavailable if the file is absent or is a different one."""
        if self._opened is not None and self._found() != self._opened:
            raise DatabaseUnavailable(
                f"the tracking database {self._path} was deleted or replaced while it was in use: later writes to it "
                "are lost. Restore it from a backup, or start again: the next run creates a new one",
                meaning=ErrorKind.REPLACED,
            )

    def _found(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino
