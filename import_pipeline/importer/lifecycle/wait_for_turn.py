"""Wait until a running import has ended, so that the next one can start."""

import time
from collections.abc import Callable

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import ImportAlreadyRunning
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.acquire import find_or_create, satisfies
from import_pipeline.rules.status import ImportKind
from import_pipeline.settings import variable_prefix
from import_pipeline.tracking.imports import ImportRow, NewImport

#: Seconds between two checks.
POLL_SECONDS = 1.0


class Turn:
    """The wait of a command or run until its import may start.

    An import of chosen items waits for other imports, in all at most for the source's `wait`. Any other import waits
    for none. `report` is called once if there is a wait, `on_dead_run` as by `find_or_create`.
    """

    def __init__(
        self,
        installation: Installation,
        source: ImportSource,
        new: NewImport,
        *,
        report: Callable[[str], object] = lambda sentence: None,
        pause: Callable[[float], object] = time.sleep,
        on_dead_run: Callable[[str], None] = lambda run_id: None,
    ) -> None:
        self._installation, self._source, self._new = installation, source, new
        self._report, self._pause, self._on_dead_run = report, pause, on_dead_run
        self._patience = source.wait if new.kind is ImportKind.SELECTION else 0.0
        self._deadline: float | None = None
        self._is_reported = False

    def acquire(self) -> ImportRow:
        """Return the import to execute, as `find_or_create`. Raises ImportAlreadyRunning at the end of the wait."""
        clock = self._installation.clock
        if self._deadline is None:
            self._deadline = clock.monotonic() + self._patience
        while True:
            try:
                row = find_or_create(
                    self._installation.database, self._source, self._new, clock, on_dead_run=self._on_dead_run
                )
            except ImportAlreadyRunning as error:
                if clock.monotonic() >= self._deadline:
                    raise
                self._report_wait(error)
            else:
                if not satisfies(row, self._new):
                    self._deadline = None  # executing a stalled import is no wait
                return row
            self._pause(min(POLL_SECONDS, max(0.0, self._deadline - clock.monotonic())))

    def wait_again(self, error: ImportAlreadyRunning) -> None:
        """Wait again, since another process started an import after `acquire`. Raises `error` if there is no wait."""
        if self._patience <= 0:
            raise error

    def _report_wait(self, error: ImportAlreadyRunning) -> None:
        if not self._is_reported:
            self._is_reported = True
            setting = f"{variable_prefix(self._source.name)}WAIT"
            self._report(
                f"Waiting for up to {self._patience:g} s ({setting}) until no other import runs. {error.fact}."
            )
