"""Wait until a running import has ended, so that the next one can start."""

import time
from collections.abc import Callable
from typing import TypeVar

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import ImportAlreadyRunning
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.acquire import find_or_create, satisfies
from import_pipeline.rules.status import ImportKind
from import_pipeline.settings import variable_prefix
from import_pipeline.tracking.imports import ImportRow, NewImport

T = TypeVar("T")

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

    def execute(self, run: Callable[[ImportRow, bool], T]) -> T:
        """Run the requested import once it may start, after any stalled one; return what `run` returns for it.

        `run(row, is_requested)` executes one import; `is_requested` is False for a stalled one. Raises
        ImportAlreadyRunning at the end of the wait.
        """
        while True:
            row = self.acquire()
            is_requested = satisfies(row, self._new)
            try:
                result = run(row, is_requested)
            except ImportAlreadyRunning:  # another process has started an import since
                if self._patience <= 0:
                    raise
                continue
            if is_requested:
                return result

    def _report_wait(self, error: ImportAlreadyRunning) -> None:
        if not self._is_reported:
            self._is_reported = True
            setting = f"{variable_prefix(self._source.name)}WAIT"
            self._report(
                f"Waiting for up to {self._patience:g} s ({setting}) until no other import runs. {error.fact}."
            )
