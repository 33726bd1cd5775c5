"""A process that ends in the middle of an import, without a process: the transport's answer is an end of everything."""

import contextlib

from import_pipeline.testing import CannedTransport
from import_pipeline_tests.support.imports import import_through


class ProcessDied(BaseException):
    """The process is gone; what it had stored is all that is left."""


def import_through_deaths(answer, source, configured, deaths):
    """Import, and resume after each death: in place of the list answers of those numbers, counted from 1.

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
