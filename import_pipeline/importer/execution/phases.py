"""The phases of an import by its kind: discover, enrich, or both, together or in turn."""

import asyncio

from import_pipeline.importer.discovery.discover import discover
from import_pipeline.importer.discovery.stored_versions import fingerprint_of_version
from import_pipeline.importer.enrichment.enrich import enrich
from import_pipeline.importer.execution.last_worker import wait_for_other_workers
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.slices.read_slices import read_slices
from import_pipeline.importer.slices.state import SlicesState
from import_pipeline.importer.user_code.declared_paths import PATHS_NOT_FOUND, sentence_of, unmet_by_all, unmet_paths
from import_pipeline.rules.sharding import FinishRole
from import_pipeline.rules.status import ImportKind
from import_pipeline.tracking import imports
from import_pipeline.tracking.lists import leftovers, list_pages, selections
from import_pipeline.tracking.user_rows.row_ids import item_id


async def run_phases(context: ImportContext) -> None:
    """Run the phases of the import's kind."""
    if context.row.kind is ImportKind.SELECTION:
        await _select(context)
    if not _has_lists(context):
        context.discovered = True
        await enrich(context)
    elif context.row.kind is ImportKind.DISCOVERY:
        await _read_lists(context)
    elif context.source.overlap:
        async with asyncio.TaskGroup() as group:
            group.create_task(_read_lists(context))
            group.create_task(enrich(context))
    else:
        await _read_lists(context)
        await enrich(context)
    if context.workers == 1 or await wait_for_other_workers(context) is FinishRole.END:
        await note_unmet_paths(context)


async def lead_on(context: ImportContext) -> None:
    """Read the list from the checkpoint on, for a shard that leads and fetches items beside."""
    if context.row.kind is ImportKind.SELECTION:
        await _select(context)
    if _has_lists(context):
        await _read_lists(context)
    else:
        context.discovered = True


async def note_unmet_paths(context: ImportContext) -> None:
    """Record the declared paths that no answer had. Call it once per import, in the worker that completes it."""
    found = unmet_paths(context.source)
    if not found or context.stop.requested.is_set():
        return
    if context.workers > 1 or context.row.checkpoint is not None:  # others have read a part of the answers
        found = await context.write(unmet_by_all, context.source)
    if found:
        await context.note(PATHS_NOT_FOUND, sentence_of(found), count=len(found))


async def _read_lists(context: ImportContext) -> None:
    """Read the source's list, or the lists of its slices."""
    await (read_slices(context) if context.source.is_sliced else discover(context))


def _has_lists(context: ImportContext) -> bool:
    """Return True if the import reads lists: all but chosen items, and a retry of slices."""
    is_chosen = context.row.kind is ImportKind.SELECTION
    return not is_chosen or (context.source.is_sliced and SlicesState.read(context.row.checkpoint) is not None)


async def _select(context: ImportContext) -> None:
    """Store the chosen items, once: named ones, those of some buckets, or what another import left."""
    if context.row.checkpoint is not None:
        return
    if context.row.retry_of is not None:
        source, sliced = context.source, None
        if source.is_sliced:
            sliced = SlicesState.of_retry(source.parent_name).dump(fingerprint_of_version(source))
        await context.write(leftovers.take_over, context.row, context.lease, context.clock.now(), sliced)
        if sliced is not None:
            context.row = await context.write(imports.get, context.row.id)
        return
    if ranges := context.options.numbers:
        await context.write(selections.select_numbered, context.row, context.lease, ranges, context.clock.now())
        return
    model = context.source.model
    chosen = list(dict.fromkeys(item_id(model, each) for each in context.options.only))
    await context.write(list_pages.select_items, context.row, context.lease, chosen, context.clock.now())
    await context.in_writer_thread(lambda: context.listener.page_stored(chosen))
