"""The import's share of the usage of its API."""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from import_pipeline.errors import DatabaseUnavailable, LimiterUnavailable
from import_pipeline.importer.execution.limiter_outage import LimiterOutageReporter
from import_pipeline.importer.limiter_usage import share
from import_pipeline.importer.runtime.api_client import ApiClient
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.ratelimit import Usage
from import_pipeline.ratelimit.usage import in_notation
from import_pipeline.rules.import_metadata import ImportFacts
from import_pipeline.rules.progress import away_seconds
from import_pipeline.tracking import imports, leases
from import_pipeline.tracking.counters import CounterDelta
from import_pipeline.tracking.heartbeats import Pulse
from import_pipeline.tracking.imports import ImportRow

SECONDS_BETWEEN_READS = 1.0
#: The event of a rate-limit store that lost its state.
STATE_LOST = "limiter_state_lost"
LOST = (
    "The rate-limit store lost its state (a restart, an eviction, a failover). This process has reported its requests "
    "again; requests continue after two seconds."
)


class UsageMeter:
    """The usage of the API since the import began: the counters now, less those at its start."""

    def __init__(self, api: ApiClient, row: ImportRow) -> None:
        self._api = api
        self._sleeps_before = row.facts.sleeps_before
        self._slept_before = row.facts.slept_before
        self._facts: dict[str, Any] = {}
        self._retry_wait_before = row.facts.retry_wait_seconds or 0.0
        self._usage: Usage | None = None
        self._noted = Counter[str]()  #: requests by endpoint that the import has counted
        self._losses = api.endpoints.losses

    async def start(self, context: ImportContext) -> None:
        """Read the counters; when the import begins, store them with it."""
        usage = await self._first_read(context)
        if not context.lease.is_lead:
            return
        row, options, facts = context.row, context.options, context.row.facts
        if self._sleeps_before is None:
            self._sleeps_before, self._slept_before = usage.sleeps, usage.slept_seconds
            facts = replace(
                facts,
                limits=context.source.limits_text,  # as configured for this import; settings may change
                sleeps_before=usage.sleeps,
                slept_before=usage.slept_seconds,
            )
            if context.workers > 1:
                options = replace(options, shards=context.workers)
        if facts.resumed_after is not None:
            away = self._away_seconds(row, facts.resumed_after, usage)
            facts = replace(facts, resumed_after=None, away_seconds=round((facts.away_seconds or 0.0) + away, 3))
        metadata = facts.store({**row.metadata, **options.dump()})
        if metadata != row.metadata:
            await context.write(leases.write, context.lease, context.clock.now(), metadata=metadata)

    def _away_seconds(self, row: ImportRow, heard_at: datetime, usage: Usage) -> float:
        """Return the seconds for which the import that was taken over had no worker."""
        taken_at = row.heartbeat_at or heard_at
        slept = usage.slept_seconds - (self._slept_before or 0.0) - row.total_sleep_seconds
        return away_seconds((taken_at - heard_at).total_seconds(), slept)

    async def _first_read(self, context: ImportContext) -> Usage:
        """Read the counters; wait up to MAX_OUTAGE for a store that is being restarted or replaced.

        Errors that only a person can mend, such as a wrong password, are raised immediately.
        """
        outage = LimiterOutageReporter(context)
        give_up_at = context.clock.monotonic() + context.source.max_outage
        while True:
            try:
                usage = await self.read()
            except LimiterUnavailable as error:
                if not error.may_pass or context.clock.monotonic() >= give_up_at:
                    raise
                if context.lease.is_lead:
                    await context.write(leases.hold, context.lease)  # another worker may have taken the import over
                    await outage.failed(error)
            else:
                await outage.recovered()
                return usage
            await context.clock.sleep(SECONDS_BETWEEN_READS)
            if context.stop.reason is not None:
                raise context.stop.reason

    async def read(self) -> Usage:
        """Read the counters now."""
        self._usage = await self._api.usage()
        return self._usage

    async def watch(self, context: ImportContext) -> None:
        """Read the counters every second, and report a store that does not answer."""
        outage = LimiterOutageReporter(context)
        while True:
            await context.clock.sleep(SECONDS_BETWEEN_READS)
            with suppress(DatabaseUnavailable):  # the phases meet it too, and decide
                await self._read_and_report(context, outage)

    async def _read_and_report(self, context: ImportContext, outage: LimiterOutageReporter) -> None:
        try:
            await self.read()
        except LimiterUnavailable as error:  # tasks that wait for permits meet it too, and decide
            if context.lease.is_lead:
                await outage.failed(error)
        else:
            await outage.recovered()
            await self._report_losses(context)
        await self.note(context)

    async def _report_losses(self, context: ImportContext) -> None:
        losses = self._api.endpoints.losses
        if losses > self._losses and context.lease.is_lead:
            await context.note(STATE_LOST, LOST)
        self._losses = losses

    async def note(self, context: ImportContext) -> None:
        """Store with the import what its ideal duration depends on: inferred limits, the mean cost, waits for retries.

        Only the lead does so; all workers of an import know the same. Each adds its own requests by endpoint.
        """
        await self._note_endpoints(context)
        if not context.lease.is_lead:
            return
        facts: dict[str, Any] = {}
        if self._usage is not None and self._usage.is_learned:
            facts = {"limits": in_notation(self._usage), "limits_learned": True}
        if (mean_cost := round(self._api.tally.mean_cost, 3)) != 1:
            facts["mean_cost"] = mean_cost
        if waited := context.retry_wait.seconds:
            facts["retry_wait_seconds"] = round(self._retry_wait_before + waited, 1)
        if facts != self._facts:
            await context.write(_change_facts, context, lambda _: facts)
            self._facts = facts

    async def _note_endpoints(self, context: ImportContext) -> None:
        """Add the requests since the last note to those of the import, if endpoints have limits of their own."""
        new = Counter(self._api.tally.by_endpoint) - self._noted
        if not new or not self._api.endpoints.are_several:
            return

        def added(facts: ImportFacts) -> dict[str, Any]:
            return {"requests_by_endpoint": dict(Counter(facts.requests_by_endpoint or {}) + new)}

        await context.write(_change_facts, context, added)
        self._noted += new

    def pulse(self, sent: CounterDelta) -> Pulse:
        """Return what a heartbeat writes, together with the requests sent since the last one."""
        if self._usage is None or self._sleeps_before is None:
            return Pulse(sent=sent)
        sleeps, slept_seconds = share(self._usage, self._sleeps_before, self._slept_before)
        return Pulse(sent=sent, sleeps=sleeps, slept_seconds=slept_seconds, blocked_until=self._usage.paused_until)


def _change_facts(
    connection: Connection, context: ImportContext, changed: Callable[[ImportFacts], Mapping[str, Any]]
) -> None:
    """Change facts of the import in one step: its other workers change others at the same moment."""
    leases.hold(connection, context.lease, to_write=True)
    row = imports.get(connection, context.row.id)
    metadata = row.metadata_with(**changed(row.facts))
    leases.write(connection, context.lease, context.clock.now(), metadata=metadata)
