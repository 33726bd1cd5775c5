"""The file of a SQLite database: whether it is still the one that was opened."""

from pathlib import Path

from import_pipeline.errors import DatabaseUnavailable
from import_pipeline.rules.database_errors import ErrorKind


class DatabaseFile:
    """The identity of a file, as the file system knows it. A deleted file can be written to, and nothing remains."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: tuple[int, int] | None = None

    def opened(self) -> None:
        """A connection has been made: from now on it is to stay this file."""
        self._opened = self._opened or self._found()

    def check(self) -> None:
        """Raise DatabaseUnavailable where the file is gone, or is another one."""
        if self._opened is not None and self._found() != self._opened:
            raise DatabaseUnavailable(
                f"the tracking database {self._path} was deleted or replaced while it was in use: what was written to "
                "it since is lost. Put it back from a backup, or begin anew: the next run makes a new one",
                meaning=ErrorKind.REPLACED,
            )

    def _found(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino
