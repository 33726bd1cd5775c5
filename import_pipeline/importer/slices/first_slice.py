"""The list of a source's first slice, for estimates and checks that read one page; and the order of sources."""

from collections.abc import Sequence

from import_pipeline.contracts import ImportSource
from import_pipeline.importer.discovery.list_page import SourceList
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.slices.enumeration import own_keys, reference_of
from import_pipeline.rules.import_metadata import ImportOptions
from import_pipeline.tracking.lists import parents


def count_slices(installation: Installation, source: ImportSource, options: ImportOptions) -> int | None:
    """Return the number of slices that an import would read now; None for a source with one list. Raises HookFailed."""
    if not source.is_sliced:
        return None
    if source.parent_name is None:
        return sum(map(len, own_keys(source, installation.clock.monotonic)))
    with installation.database.read() as connection:
        last = reference_of(connection, source, options)
        changed = None if last is None else parents.changed_or_owed(connection, source.name, last.id)
        return parents.count(connection, source.parent_name, changed)


def first_list(installation: Installation, source: ImportSource) -> SourceList | None:
    """Return the source's list, or that of its first slice; None if it has no slices yet. Raises HookFailed."""
    if not source.is_sliced:
        return SourceList(source=source)
    if source.parent_name is None:
        keys: Sequence[str] = next(own_keys(source, installation.clock.monotonic), [])
    else:
        with installation.database.read() as connection:
            keys = parents.keys(connection, source.parent_name, None, 1)
    return SourceList(source=source, key=keys[0]) if keys else None


def parents_first(sources: Sequence[ImportSource]) -> list[ImportSource]:
    """Return the sources with each parent before its children, and otherwise in their order."""
    placed, left = list[ImportSource](), list(sources)
    while left:
        waiting = {source.name for source in left}
        ready = [source for source in left if source.parent_name not in waiting]
        placed += ready or left
        left = [source for source in left if source not in placed]
    return placed
