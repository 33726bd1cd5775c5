"""The two assets of a source: its list (discovered) and the details of its items (enriched)."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
from pydantic import BaseModel, Field

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import checks, metadata, names
from import_pipeline.defs.config import plain_fields
from import_pipeline.defs.import_run import ImportOp
from import_pipeline.defs.links import Links
from import_pipeline.defs.partitions import item_partitions
from import_pipeline.defs.resources import RateLimitedApiResource
from import_pipeline.defs.translation import keys
from import_pipeline.defs.translation.translator import Translator, translate

#: Time that an import may take after its slot before its assets count as late.
GRACE = timedelta(hours=1)


class ImportConfig(BaseModel):
    """The run configuration of `import_<source>`: the items that a run without partitions imports."""

    only: list[str] = Field([], description="Ids of the items to import again. Empty: import everything.")
    full: bool = Field(False, description="Read the whole list, although there is a bookmark.")


def build_assets(
    source: ImportSource, links: Links, translator: Translator | None = None
) -> tuple[ImportSource, dg.AssetsDefinition]:
    """Return both assets, computed by one op, so that enrichment starts while discovery still reads pages.

    The source that is returned has the keys that the translator gave.
    """
    discovered, enriched = _discovered(source, links), _enriched(source, links)
    if translator is not None:
        source, discovered, enriched = translate(source, discovered, enriched, translator)

    @dg.multi_asset(
        name=names.operation(source.name),
        specs=[discovered, enriched],
        check_specs=checks.specs(enriched.key),
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
        required_resource_keys={names.resource(source.name)},
        op_tags={names.IMPORT_SOURCE_TAG: source.name},
        config_schema=plain_fields(ImportConfig),
    )
    def discover_and_enrich(context: dg.AssetExecutionContext) -> Iterator[Any]:
        config = ImportConfig(**context.op_execution_context.op_config)
        api: RateLimitedApiResource = getattr(context.resources, names.resource(source.name))
        yield from ImportOp(context, source, api, links, config.only, full=config.full).events()

    return source, discover_and_enrich


def _discovered(source: ImportSource, links: Links) -> dg.AssetSpec:
    return dg.AssetSpec(
        keys.discovered(source),
        description=f"The list of {source.name}: one stub and one tracking row for each item, stored page by page.",
        deps=_parent(source),
        skippable=True,
        group_name=source.group_name or source.name,
        kinds={"python", "api"},
        owners=list(source.owners),
        tags={**source.tags, names.IMPORT_SOURCE_TAG: source.name},
        freshness_policy=_freshness(source),
        metadata=metadata.of_source(source, links),
    )


def _parent(source: ImportSource) -> list[dg.AssetKey]:
    """Return the key of the list of the parent, whose items are the source's slices."""
    parent = source.parent
    if parent is None:
        return []
    if isinstance(parent, ImportSource):
        return [keys.discovered(parent)]
    prefix = source.asset_key_prefix if isinstance(parent, str) else parent.asset_key_prefix
    return [dg.AssetKey([*prefix, f"discovered_{source.parent_name}"])]


def _partitions(source: ImportSource) -> str:
    size = source.partitions.size
    return "one partition per item" if size is None else f"{size} items per partition, in the order of discovery"


def _enriched(source: ImportSource, links: Links) -> dg.AssetSpec:
    table = source.model.__table__
    return dg.AssetSpec(
        keys.enriched(source),
        description=(
            f"The details of {source.name} in the table {table.name}, {_partitions(source)}. "
            "A run without partitions imports everything; a run with partitions imports their items again."
        ),
        deps=[keys.discovered(source)],
        partitions_def=item_partitions(source),
        skippable=True,
        group_name=source.group_name or source.name,
        kinds={"python", links.kind},
        owners=list(source.owners),
        tags={**source.tags, names.IMPORT_SOURCE_TAG: source.name},
        freshness_policy=_freshness(source),
        metadata=metadata.of_source(source, links) | metadata.of_table(table.name, table, uri=links.table(table.name)),
    ).with_io_manager_key(names.rows(source.name))


def _freshness(source: ImportSource) -> dg.FreshnessPolicy:
    """Return the policy: warn if a slot brought nothing within `GRACE`, fail if the next slot did not either."""
    gap = source.timetable.longest_gap
    return dg.FreshnessPolicy.time_window(warn_window=gap + GRACE, fail_window=2 * gap + GRACE)
