"""The outcomes of stored items: reported to the listener, and counted by the circuit breaker."""

import logging
from collections.abc import Sequence

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import ImportFailed
from import_pipeline.importer.enrichment.writer import Written
from import_pipeline.importer.runtime.circuit import Circuit
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.runtime.progress import StoredItem
from import_pipeline.logs import report
from import_pipeline.rules.circuit_breaker import CircuitBreaker
from import_pipeline.tracking import imports
from import_pipeline.tracking.claims import Done, Failure
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.wording import plural


class Outcomes:
    """Receives each stored batch; opens the circuit while no item succeeds."""

    def __init__(self, context: ImportContext) -> None:
        self.context = context
        self.breaker = _breaker(context.source)
        self.circuit = Circuit(context.clock, context.chance, context.record_wait)  #: open while the breaker is open
        self.may_have_retries = True  #: an item may wait for a retry, of this process or of an earlier one

    async def report(self, written: Written) -> None:
        """Report a stored batch to the listener and to the circuit breaker."""
        self.may_have_retries = self.may_have_retries or any(failure.next_attempt_at for failure in written.failed)
        if written.stored:
            self.context.listener.items_stored(
                [
                    StoredItem(
                        external_id=each.claim.external_id,
                        tries=each.claim.failure_count + 1,
                        request_seconds=each.request_seconds,
                        http_status=each.http_status,
                        is_left_out=each.left_out is not None,
                    )
                    for each in written.stored
                ]
            )
        await self._update_circuit(written)

    async def accept_as_gone(self, held: Sequence[Done]) -> bool:
        """Return True if the held items, the only ones of the import, may be stored as gone.

        Otherwise request the stop: a source whose details were never found has a wrong address rather than items that
        are all gone.
        """
        problem = self.breaker.none_accepted(len(held), held[0].reason)
        if problem is None or await self.context.write(imports.has_imported, self.context.row.source):
            return True
        self.context.stop.request(ImportFailed(problem))
        return False

    async def _update_circuit(self, written: Written) -> None:
        """Open the circuit while no item succeeds, close it when one does, stop if that takes too long."""
        context, failed = self.context, written.failed
        if written.stored:
            self.breaker.succeeded()
        if failed:
            report_failures(context.row, failed)
        if left_out := [each for each in written.stored if each.left_out is not None]:
            report_left_out(context.row, left_out)
        for failure in without_good_batches(written):
            end = self.breaker.failed(
                failure.batch if failure.may_pass and failure.batch else failure.claim.external_id,
                failure.reason,
                context.clock.monotonic(),
                may_pass=failure.may_pass,
                is_denied=failure.is_denied,
            )
            if end is not None:
                context.stop.request(ImportFailed(end))
        for each in written.held:
            if (end := self.breaker.vanished(each.claim.external_id, each.reason)) is not None:
                context.stop.request(ImportFailed(end))
        if self.breaker.is_open:
            reason = f" ({failed[-1].reason})" if failed else ""
            self.circuit.open(f"the last items all failed{reason}")
        else:
            await context.close_circuit(self.circuit, "Details arrive again")


def without_good_batches(written: Written) -> list[Failure]:
    """Return the failures that may show trouble of the API: those of an answer with other items' details do not."""
    good = {each.batch for each in written.stored if each.batch is not None}
    return [failure for failure in written.failed if failure.batch not in good]


def report_failures(row: ImportRow, failed: Sequence[Failure]) -> None:
    """Log one line for the failures of a batch, with the first of their reasons."""
    final = sum(failure.next_attempt_at is None for failure in failed)
    first = failed[0]
    sentence = f"{failed_tries(len(failed), final)}; item {first.claim.external_id}: {first.reason}."
    level = logging.WARNING if final else logging.INFO
    report("items_failed", sentence, level=level, import_id=row.id, source=row.source, count=len(failed), lost=final)


def report_left_out(row: ImportRow, left_out: Sequence[Done]) -> None:
    """Log one line for the items of a batch that are skipped or gone, with the first of their reasons."""
    first = left_out[0]
    words = f"{plural(len(left_out), 'item')} left out; item {first.claim.external_id} is {first.left_out}"
    sentence = f"{words}: {first.reason}."
    report("items_left_out", sentence, level=logging.INFO, import_id=row.id, source=row.source, count=len(left_out))


def failed_tries(tries: int, final: int) -> str:
    """Return `1 try failed, permanently` or `3 tries failed, 2 of them permanently`."""
    text = f"{plural(tries, 'try', 'tries')} failed"
    if final == tries:
        return f"{text}, {'permanently' if tries == 1 else 'all permanently'}"
    return f"{text}, {final} of them permanently" if final else text


def _breaker(source: ImportSource) -> CircuitBreaker:
    """Return the breaker, which names for people what to check: hooks, or keys of a declaration."""
    words = source.hook_words
    if not words:
        return CircuitBreaker(source.max_outage)
    return CircuitBreaker(
        source.max_outage,
        address=words["detail_request"],
        answers=f"add {{status: 404, action: gone}} to {words['classify']}",
    )
