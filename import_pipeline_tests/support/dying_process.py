"""A simulated process that dies in the middle of an import: the transport raises in place of an answer."""

import contextlib

from import_pipeline.testing import CannedTransport
from import_pipeline_tests.support.imports import import_through


class ProcessDied(BaseException):
    """Simulates the death of a process; only what it had stored remains."""


def import_through_deaths(answer, source, configured, deaths):
    """Import, and resume after each death. A process dies at the list requests of those numbers, counted from 1.

    `answer` is a function of a request. Returns the summary and the number of processes.
    """
    asked, left, processes = 0, sorted(deaths), 0

    def answer_or_die(request):
        nonlocal asked
        if "/items/" not in request.url.path:
            asked += 1
            if left and asked >= left[0]:
                left.pop(0)
                raise ProcessDied
        return answer(request)

    while True:
        processes += 1
        with contextlib.suppress(ProcessDied):
            return import_through(CannedTransport(answer_or_die), source, configured), processes
