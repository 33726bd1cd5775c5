"""Forward the program's log lines to the log of a Dagster run, with the action at the end of each."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from import_pipeline.logs import LOGGER, action_of
from import_pipeline.wording import visible

#: Too many for Dagster, where a line costs about 10 ms. The item rows and the checks show the same.
NOT_FORWARDED = frozenset({"items_failed"})


@contextmanager
def forward_logs(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> Iterator[None]:
    """Forward this process's log lines to the run's log while the context is open."""
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
