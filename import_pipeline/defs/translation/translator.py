"""Change the keys, groups, tags and other attributes of a source's assets, as Dagster's translators do."""

import copy
from collections.abc import Callable
from typing import TypeAlias

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import ContractError

#: Takes the spec of an asset and its source, and returns the spec to use.
Translator: TypeAlias = Callable[[dg.AssetSpec, ImportSource], dg.AssetSpec]


def translate(
    source: ImportSource, discovered: dg.AssetSpec, enriched: dg.AssetSpec, translator: Translator
) -> tuple[ImportSource, dg.AssetSpec, dg.AssetSpec]:
    """Return the source with its new keys, and both specs. Raises ContractError for a spec that cannot work."""
    listed, detailed = (_translated(source, spec, translator) for spec in (discovered, enriched))
    if listed.key == detailed.key:
        key = listed.key.to_user_string()
        raise ContractError(source.name, "translator", "two different keys for the two assets", f"{key} for both")
    deps = [dep for dep in detailed.deps if dep.asset_key != discovered.key]
    detailed = detailed.replace_attributes(deps=[dg.AssetDep(listed.key), *deps])
    placed = copy.copy(source)
    placed.asset_paths = {"discovered": tuple(listed.key.path), "enriched": tuple(detailed.key.path)}
    return placed, listed, detailed


def _translated(source: ImportSource, spec: dg.AssetSpec, translator: Translator) -> dg.AssetSpec:
    found = translator(spec, source)
    if not isinstance(found, dg.AssetSpec):
        raise ContractError(source.name, "translator", "a function that returns an AssetSpec", repr(found))
    if found.partitions_def != spec.partitions_def:
        expected = "a spec with the partitions of the source: set `partitions` there"
        raise ContractError(source.name, "translator", expected, "a spec with other ones")
    return found
