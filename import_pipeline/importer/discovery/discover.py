"""Phase one of an import with one list: read the list from its checkpoint to its end."""

from import_pipeline.errors import ApiBlocked, ImportFailed, LimiterUnavailable, UsageError
from import_pipeline.importer.discovery.checkpoint import Checkpoint
from import_pipeline.importer.discovery.list_page import SourceList
from import_pipeline.importer.discovery.list_reader import ListReader, PageFailed
from import_pipeline.importer.discovery.page_writer import PageWriter
from import_pipeline.importer.discovery.pagination import OpenList
from import_pipeline.importer.discovery.stored_versions import forget_outdated_versions
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.rules.backoff import retry_delay


async def discover(context: ImportContext) -> None:
    """Read the list from the checkpoint to its end. An error that makes this impossible stops the import."""
    try:
        await _discover(context)
    except (ApiBlocked, ImportFailed, LimiterUnavailable, UsageError) as error:
        context.stop.request(error)


async def _discover(context: ImportContext) -> None:
    writer = PageWriter(context)
    of_source = SourceList(source=context.source, token_setting=context.token_setting)
    reader = ListReader(OpenList(context=context, source_list=of_source), writer)
    stored = Checkpoint.read(context.row.checkpoint)
    await forget_outdated_versions(context)
    await reader.resume(stored)
    while not reader.checkpoint.complete and not context.stop.requested.is_set():
        await _read_page(context, reader)
        context.work_available.set()
    if reader.checkpoint.complete:
        await writer.store_parked()
    context.discovered = reader.checkpoint.complete
    context.work_available.set()


async def _read_page(context: ImportContext, reader: ListReader) -> None:
    """Read a page within the source's tries. Raises ImportFailed."""
    failures = 0
    while True:
        try:
            return await reader.read_page()
        except PageFailed as error:
            failures += 1
            if failures >= context.source.retry.tries:
                raise ImportFailed(f"{error}, {failures} times") from error
            delay = retry_delay(failures, context.source.retry.backoff, context.chance())
            seconds = max(delay, error.wait or delay).total_seconds()
            await context.record_wait(str(error), seconds)
        await context.clock.sleep(seconds)
