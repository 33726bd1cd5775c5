"""Thousands of lists against a model: an import has all items, or reports the missing ones and does not complete."""

from contextlib import contextmanager, suppress
from functools import partial

import httpx
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from import_pipeline.importer.execution.run import execute_import
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.lifecycle.acquire import find_or_create
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.runtime.api_client import open_api
from import_pipeline.importer.source_loader import configure
from import_pipeline.rules.status import Trigger
from import_pipeline.settings import load_settings
from import_pipeline.testing import CannedTransport, MemoryPermits
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline_tests.support.dying_process import ProcessDied
from import_pipeline_tests.support.list_strategies import SIZE, SOURCES, ListedSource, ListServer, list_plans

#: Lists per test: a hundred and more in all by day, thousands at night.
MANY = settings(
    max_examples=50 if settings().max_examples <= 100 else 1500, suppress_health_check=[HealthCheck.too_slow]
)


class Importer:
    """Imports lists into one database, in several processes."""

    def __init__(self, installation):
        self.installation = installation

    def run(self, source, server, deaths=(), source_after_death=None):
        """Return the summary and the ids that the import found."""
        left, asked = sorted(deaths), 0

        def answer(request):
            nonlocal asked
            asked += 1
            if left and asked >= left[0]:
                left.pop(0)
                raise ProcessDied
            return server(request)

        while True:
            with suppress(ProcessDied):
                summary = self._process(source, CannedTransport(answer))
                return summary, self._met(summary.import_id)
            source = source_after_death or source

    def _process(self, source, transport):
        ours = self.installation
        row = find_or_create(ours.database, source, new_import(source, Trigger.CLI), ours.clock)
        permits = MemoryPermits(ours.clock)
        connect = partial(open_api, source, ours.settings, ours.clock, transport, permits=permits)
        return execute_import(ImportRun(installation=ours, source=source, connect=connect), row.id)

    def _met(self, import_id):
        with self.installation.database.read() as connection:
            found = select(statuses.c.external_id).where(statuses.c.import_id == import_id)
            return set(connection.scalars(found))


@contextmanager
def importer(home):
    configured = load_settings({"IMPORT_PIPELINE_HOME": str(home)}, home.parent)
    with open_installation(configured, configure([ListedSource()], configured)) as installation:
        installation.source("listed")  # creates the table
        yield Importer(installation)


@pytest.fixture(scope="module")
def imports_into(tmp_path_factory):
    with importer(tmp_path_factory.mktemp("lists") / "home") as made:
        yield made


@MANY
@given(list_plans())
def test_a_list_ends_with_all_its_items_or_reports_the_missing_ones(imports_into, plan):
    server = ListServer(plan)
    summary, met = imports_into.run(SOURCES[plan.style](), server, plan.deaths)
    event(
        f"{plan.style}, {'sound' if plan.is_sound else 'odd'}, {'incomplete' if summary.incomplete_reason else 'whole'}"
    )
    assert summary.status == "completed", summary.failure_reason
    assert met <= plan.ids
    if summary.incomplete_reason is None:
        assert met == plan.ids
    if plan.is_sound:
        assert (met, summary.incomplete_reason) == (plan.ids, None)
    assert server.asked < 250


class Sliced:
    """A numbered list that respects the page size and changes before some of its requests."""

    def __init__(self, count, changes, *, total):
        self.ids, self._changes, self._total = [f"i{n}" for n in range(count)], dict(changes), total
        self.asked, self.lasting = 0, set(self.ids)

    def __call__(self, request):
        self.asked += 1
        if change := self._changes.get(self.asked):
            self._change(*change)
        page, size = (int(request.url.params[name]) for name in ("page", "size"))
        body = {"data": self.ids[(page - 1) * size : page * size], "more": page * size < len(self.ids)}
        return httpx.Response(200, json=body | ({"total": len(self.ids)} if self._total else {}))

    def _change(self, is_insertion, place):
        place = place % (len(self.ids) + 1)
        if is_insertion:
            self.ids.insert(place, f"n{self.asked}")
        elif place < len(self.ids):
            self.lasting.discard(self.ids.pop(place))


def sized(size):
    source = ListedSource()
    source.per_page = size
    return source


CHANGES = st.dictionaries(st.integers(2, 20), st.tuples(st.booleans(), st.integers(0, 30)), max_size=4)


@MANY
@given(st.integers(0, 25), CHANGES, st.sets(st.integers(1, 9), max_size=2), st.sampled_from([2, SIZE, 7]))
def test_a_list_that_shifts_while_processes_die_and_page_sizes_change_loses_nothing_that_lasts(
    imports_into, count, changes, deaths, other
):
    server = Sliced(count, changes, total=True)
    summary, met = imports_into.run(sized(SIZE), server, deaths, sized(other))
    assert summary.status == "completed", summary.failure_reason
    assert summary.incomplete_reason is not None or met >= server.lasting
    if not changes:
        assert (met, summary.incomplete_reason) == (server.lasting, None)


@MANY
@given(st.integers(0, 25), st.sets(st.integers(1, 12), max_size=3), st.sampled_from([2, SIZE, 7]))
def test_a_list_without_a_total_is_read_completely_with_any_page_size(imports_into, count, deaths, other):
    server = Sliced(count, {}, total=False)
    summary, met = imports_into.run(sized(SIZE), server, deaths, sized(other))
    assert (summary.status, summary.incomplete_reason, met) == ("completed", None, server.lasting)
