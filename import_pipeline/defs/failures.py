"""The failed items of an import as Dagster shows them: in a sentence, in a table, and at their partitions."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import metadata
from import_pipeline.defs.links import Links
from import_pipeline.defs.translation.keys import enriched
from import_pipeline.importer.installation import Installation
from import_pipeline.redaction import redact
from import_pipeline.tracking import items, source_items
from import_pipeline.tracking.items import FailedItem
from import_pipeline.wording import plural

#: Failed items that a sentence names, and that a table lists.
NAMED, LISTED = 3, 20
#: Partitions that get an observation. Each is an event, which takes up to 20 ms.
OBSERVED = 100


def sentence(failed: Sequence[FailedItem], total: int, import_id: int) -> str:
    """Return `item 33: the API answers 404 Not Found`; of several items their number, and the first ones."""
    reasons = "; ".join(_with_reason(each) for each in failed[:NAMED])
    if total == 1 and failed:
        return reasons
    more = total - len(failed[:NAMED])
    rest = f"; {more} more: `import-pipeline show {import_id}` lists them" if more else ""
    return f"{plural(total, 'item')} failed: {reasons}{rest}"


def table(failed: Sequence[FailedItem]) -> dg.TableMetadataValue:
    """Return the first failed items with their reasons and numbers of tries."""
    records = [
        dg.TableRecord({"item": redact(each.external_id), "reason": redact(each.reason), "tries": each.failure_count})
        for each in failed[:LISTED]
    ]
    types = {"item": "string", "reason": "string", "tries": "int"}
    schema = dg.TableSchema(columns=[dg.TableColumn(name=name, type=kind) for name, kind in types.items()])
    return dg.TableMetadataValue(records=records, schema=schema)


def observations(
    installation: Installation, source: ImportSource, links: Links, import_id: int
) -> Iterator[dg.AssetObservation]:
    """Yield an observation for each partition with failed items, which says why; of at most OBSERVED items."""
    with installation.database.read() as connection:
        failed = items.failures(connection, import_id, OBSERVED)
        keys = {each.external_id: each.external_id for each in failed}
        if source.partitions.size is not None:
            numbers = source_items.numbers_of(connection, source.name, list(keys))
            keys = {external_id: source.partitions.key_of(number) for external_id, number in numbers.items()}
    by_partition: dict[str, list[FailedItem]] = {}
    for each in failed:
        if each.external_id in keys:
            by_partition.setdefault(keys[each.external_id], []).append(each)
    for key, some in by_partition.items():
        figures: dict[str, dg.MetadataValue[Any]] = {"failed_items": table(some)}
        yield dg.AssetObservation(
            asset_key=enriched(source),
            partition=key,
            description=f"Failed: {sentence(some, len(some), import_id)}",
            metadata=figures | metadata.link_to(links, import_id),
        )


def _with_reason(item: FailedItem) -> str:
    return redact(f"item {item.external_id}: {item.reason}")
