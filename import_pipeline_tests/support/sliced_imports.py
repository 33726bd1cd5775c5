"""Runs of the imports of `sliced_api`, and what they stored."""

import asyncio
import contextlib
from functools import partial

import httpx
from sqlalchemy import select

from import_pipeline.clock import SystemClock
from import_pipeline.importer.control.retries import retry
from import_pipeline.importer.execution.run import execute_import
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.runtime.api_client import open_api
from import_pipeline.importer.source_loader import configure
from import_pipeline.importer.summary import count_later_imports, summarize
from import_pipeline.rules.status import Trigger
from import_pipeline.testing import CannedTransport
from import_pipeline.tracking import imports
from import_pipeline.tracking.lists import slices
from import_pipeline.tracking.tables import source_items
from import_pipeline_tests.support.dying_process import ProcessDied
from import_pipeline_tests.support.imports import import_through, latest, rows, tracking
from import_pipeline_tests.support.sliced_api import Comment, Comments, Issues, Windows, sliced_settings


class Importing:
    """A home with both sources, whose API a test changes between imports."""

    def __init__(self, home, api, clock=None, **environment):
        self.api = api
        self.clock = clock or SystemClock()
        self.settings = sliced_settings(home, **environment)

    def parents(self, **values):
        """Import the issues."""
        return import_through(CannedTransport(self.api), Issues(), self.settings, clock=self.clock, **values)

    def children(self, source=None, **values):
        """Import the comments."""
        return import_through(
            CannedTransport(self.api), source or Comments(), self.settings, clock=self.clock, **values
        )

    @contextlib.contextmanager
    def scheduled_parents(self):
        """Create the import of a slot, which has its id long before it starts. Yield a function that runs it."""
        transport, source = CannedTransport(self.api), Issues()
        with open_installation(self.settings, configure([source], self.settings)) as installation:
            found, now = installation.source(source.name), installation.clock.now()
            new = new_import(found, Trigger.SCHEDULE, slot_at=now, scheduled_at=now)
            row = installation.database.transact(lambda connection: imports.create(connection, new, now))
            connect = partial(open_api, found, self.settings, installation.clock, transport)
            yield lambda: execute_import(ImportRun(installation=installation, source=found, connect=connect), row.id)

    def retry(self, source=None, api=None, **values):
        """Retry the newest import of the comments. Return the figures of its retry."""
        source = source or Comments()
        with open_installation(self.settings, configure([Issues(), source], self.settings)) as installation:
            found = installation.source(source.name)
            made = retry(installation, values.pop("of", None) or self.row.id, **values).row
            connect = partial(open_api, found, self.settings, installation.clock, CannedTransport(api or self.api))
            return execute_import(ImportRun(installation=installation, source=found, connect=connect), made.id)

    def resume(self, source):
        """Resume the newest import of the comments."""
        with open_installation(self.settings, configure([Issues(), source], self.settings)) as installation:
            found = installation.source(source.name)
            connect = partial(open_api, found, self.settings, installation.clock, CannedTransport(self.api))
            return execute_import(ImportRun(installation=installation, source=found, connect=connect), self.row.id)

    def figures(self, import_id):
        """The figures of an import as they are now."""
        with tracking(self.settings) as connection:
            row = imports.get(connection, import_id)
            return count_later_imports(connection, summarize(row, "", self.clock.now()))

    def source(self):
        """The source whose keys are its own."""
        return Windows(list(self.api.comments))

    def windows(self, keys=None, **values):
        """Import the comments by keys of the source's own."""
        return self.children(Windows(list(self.api.comments) if keys is None else keys), **values)

    def through_deaths(self, source, deaths, **values):
        """Import, and resume after each death. A process dies at the requests of those numbers, counted from 1."""
        asked, left, processes = 0, sorted(deaths), 0

        def answer_or_die(request):
            nonlocal asked
            asked += 1
            if left and asked >= left[0]:
                left.pop(0)
                raise ProcessDied
            return self.api(request)

        while True:
            processes += 1
            with contextlib.suppress(ProcessDied):
                return import_through(CannedTransport(answer_or_die), source, self.settings, **values), processes

    @property
    def comments(self):
        """The ids of the stored comments."""
        return set(rows(self.settings, Comment))

    @property
    def row(self):
        """The newest import's row."""
        return latest(self.settings)

    @property
    def gone(self):
        """The ids of the comments that are marked as gone."""
        with tracking(self.settings) as connection:
            gone = source_items.c.gone_at.is_not(None)
            return set(
                connection.scalars(select(source_items.c.external_id).where(source_items.c.source == "comments", gone))
            )

    def failed_slices(self):
        """Key -> reason of the failed and incomplete slices of the newest import."""
        with tracking(self.settings) as connection:
            return {each.key: each.reason for each in slices.failures(connection, self.row.id)}


class AnsweringTogether(httpx.AsyncBaseTransport):
    """Answers as the API, once that many requests are in flight; those that `unless` chooses immediately."""

    def __init__(self, api, number, unless=lambda request: False):
        self._inner, self._number, self._unless = CannedTransport(api), number, unless
        self._in_flight = self.most = 0
        self._are_together = asyncio.Event()

    async def handle_async_request(self, request):
        self._in_flight += 1
        self.most = max(self.most, self._in_flight)
        try:
            if self._in_flight == self._number:
                self._are_together.set()
            if not self._unless(request):
                await self._are_together.wait()
            return await self._inner.handle_async_request(request)
        finally:  # also after a deadline: a repeated request is no further one
            self._in_flight -= 1


def all_of(api):
    """The ids of all comments of the API."""
    return {each for comments in api.comments.values() for each in comments}
