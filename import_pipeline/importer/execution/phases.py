"""What an import does by its kind: discover, enrich, both at once or one after the other."""

import asyncio

from import_pipeline.importer.discovery.discover import discover
from import_pipeline.importer.enrichment.enrich import enrich
from import_pipeline.importer.execution.last_worker import wait_for_other_workers
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.rules.status import ImportKind
from import_pipeline.tracking import list_pages
from import_pipeline.tracking.user_rows.row_ids import item_id


async def run_phases(work: ImportContext) -> None:
    """All that the import's kind asks for."""
    if work.row.kind is ImportKind.SELECTION:
        if work.row.checkpoint is None:
            await _select(work)
        work.discovered = True
        await enrich(work)
    elif work.row.kind is ImportKind.DISCOVERY:
        await discover(work)
    elif work.source.overlap:
        async with asyncio.TaskGroup() as group:
            group.create_task(discover(work))
            group.create_task(enrich(work))
    else:
        await discover(work)
        await enrich(work)
    if work.workers > 1:
        await wait_for_other_workers(work)


async def lead_on(work: ImportContext) -> None:
    """The lead's part of an import whose items others fetch: its list, from the checkpoint on."""
    if work.row.kind is not ImportKind.SELECTION:
        await discover(work)


async def _select(work: ImportContext) -> None:
    """The chosen items: those that were named, those of some buckets, or what another import has left undone."""
    if work.row.retry_of is not None:
        await work.write(list_pages.select_unfinished, work.row, work.lease, work.row.retry_of, work.clock.now())
        return
    if ranges := work.option.get("numbers"):
        await work.write(list_pages.select_numbered, work.row, work.lease, ranges, work.clock.now())
        return
    model = work.source.model
    chosen = list(dict.fromkeys(item_id(model, each) for each in work.option.get("only", [])))
    await work.write(list_pages.select_items, work.row, work.lease, chosen, work.clock.now())
    await work.aside(lambda: work.listener.page_stored(chosen))
