"""Runs of the imports of `sliced_api`, and what they stored."""

import contextlib
from datetime import timedelta

from sqlalchemy import select

from import_pipeline.testing import CannedTransport
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.lists import slices
from import_pipeline.tracking.tables import imports, source_items
from import_pipeline_tests.support.dying_process import ProcessDied
from import_pipeline_tests.support.imports import import_through, latest, rows, tracking
from import_pipeline_tests.support.sliced_api import Comment, Comments, Issues, Windows, sliced_settings

HOUR = timedelta(hours=1)
#: The times by which an import knows what has changed since another one.
AGED = {imports: ("started_at",), source_items: ("changed_at",)}


class Importing:
    """A home with both sources, whose API a test changes between imports."""

    def __init__(self, home, api, **environment):
        self.api = api
        self.settings = sliced_settings(home, **environment)

    def parents(self, **values):
        """Import the issues."""
        return import_through(CannedTransport(self.api), Issues(), self.settings, **values)

    def children(self, source=None, **values):
        """Import the comments."""
        return import_through(CannedTransport(self.api), source or Comments(), self.settings, **values)

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

    def age(self):
        """Move all that was imported so far an hour into the past."""
        database = Database(self.settings.database_url)

        def unit(connection):
            for table, columns in AGED.items():
                for row in connection.execute(select(table)).mappings().all():
                    moved = {name: row[name] - HOUR for name in columns if row[name] is not None}
                    key = [column == row[column.name] for column in table.primary_key]
                    connection.execute(table.update().where(*key).values(moved))

        try:
            database.transact(unit)
        finally:
            database.close()

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


def all_of(api):
    """The ids of all comments of the API."""
    return {each for comments in api.comments.values() for each in comments}
