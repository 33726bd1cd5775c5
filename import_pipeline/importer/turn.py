"""Waiting for the import that is in the way."""

import time
from collections.abc import Callable

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import ImportAlreadyRunning
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.start import prepare
from import_pipeline.rules.status import ImportKind
from import_pipeline.settings import variable_prefix
from import_pipeline.tracking.imports import ImportRow, NewImport

#: Seconds between two looks.
LOOK_AGAIN = 1.0


def prepare_in_turn(
    installation: Installation,
    source: ImportSource,
    new: NewImport,
    tell: Callable[[str], object] = lambda sentence: None,
    pause: Callable[[float], object] = time.sleep,
    bury: Callable[[str], None] = lambda run_id: None,
) -> ImportRow:
    """What `prepare` gives. Chosen items wait for a running import, at most as long as the source says (`wait`).

    `tell` hears once what is waited for, `bury` what `prepare` says. Raises ImportAlreadyRunning: at once for any
    other import.
    """
    patience = source.wait if new.kind is ImportKind.SELECTION else 0.0
    deadline, is_told = installation.clock.monotonic() + patience, False
    while True:
        try:
            return prepare(installation.database, source, new, installation.clock, bury=bury)
        except ImportAlreadyRunning as error:
            if installation.clock.monotonic() >= deadline:
                raise
            if not is_told:
                is_told = True
                setting = f"{variable_prefix(source.name)}WAIT"
                tell(f"Waiting for up to {patience:g} s ({setting}) until no other import runs. {error.fact}.")
        pause(min(LOOK_AGAIN, max(0.0, deadline - installation.clock.monotonic())))
