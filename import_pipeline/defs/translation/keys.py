"""The keys of a source's two assets."""

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names


def discovered(source: ImportSource) -> dg.AssetKey:
    """Return the key of the asset of phase one: the list."""
    return dg.AssetKey(list(source.asset_path("discovered")))


def enriched(source: ImportSource | str) -> dg.AssetKey:
    """Return the key of the asset of phase two: the details. A source that is not listed any more is only a name."""
    return dg.AssetKey(names.enriched(source) if isinstance(source, str) else list(source.asset_path("enriched")))


def materialization_tags(source: ImportSource, run_id: str) -> dict[str, str]:
    """Return the tags that name the input of a materialization. Without them Dagster assumes the latest list."""
    listed = discovered(source).to_user_string()
    return {
        "dagster/code_version": run_id,  # Dagster's own default for code without a version
        f"dagster/input_data_version/{listed}": names.LIST_VERSION,
        f"dagster/input_event_pointer/{listed}": "NULL",
    }
