"""The program's own lines in the log of a Dagster run, the action at their end."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from import_pipeline.logs import LOGGER, action_of
from import_pipeline.wording import visible

#: Too many for Dagster, where each costs some 10 ms: the item rows and the checks tell them.
NOT_FORWARDED = frozenset({"items_failed"})


@contextmanager
def forward_logs(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> Iterator[None]:
    """As long as this lasts, what the program says in this process is said in the run's log too."""
    handler = _RunLogHandler(context)
    level = LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(min(level or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)


class _RunLogHandler(logging.Handler):
    def __init__(self, context: dg.AssetExecutionContext | dg.OpExecutionContext) -> None:
        super().__init__()
        self._log = context.log

    def emit(self, record: logging.LogRecord) -> None:
        if action_of(record) not in NOT_FORWARDED:
            self._log.log(record.levelno, f"{visible(record.getMessage())} [{action_of(record)}]")
