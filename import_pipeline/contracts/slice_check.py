"""Check the slices of a source: that its hooks fit together, and that the parents of all sources exist."""

from collections.abc import Sequence

from import_pipeline.contracts.slices import SliceHooks
from import_pipeline.contracts.source import ImportSource
from import_pipeline.errors import ContractError


def check_slices(source: ImportSource) -> None:
    """Raise ContractError for hooks and attributes of slices that contradict each other."""
    kind, name = type(source), source.name
    has_keys = kind.slices is not SliceHooks.slices
    has_request = kind.slice_request is not SliceHooks.slice_request
    has_list = kind.list_request is not ImportSource.list_request
    if not isinstance(source.changed_only, bool):
        raise ContractError(name, "changed_only", "True or False", repr(source.changed_only))
    _check_cap(source)
    if source.changed_only and source.parent is None:
        raise ContractError(name, "changed_only", "a `parent` whose changes it means", "none")
    if not source.is_sliced:
        if has_request:
            raise ContractError(name, "slice_request", "`parent` or a method slices beside it", "neither")
        if not has_list and source.incremental is None:
            expected = "a method; or slices with a method slice_request"
            raise ContractError(name, "list_request", expected, "neither")
        return
    if source.parent is not None and has_keys:
        raise ContractError(name, "slices", "no method beside `parent`, whose items are the slices", "a method")
    if not has_request:
        raise ContractError(name, "slice_request", "a method that returns the request for a slice", "nothing")
    if has_list:
        raise ContractError(name, "list_request", "no method beside slice_request, which replaces it", "a method")
    if source.parent is not None:
        _check_parent(source)


def _check_cap(source: ImportSource) -> None:
    """Raise ContractError for a cap that is no number, and for a `split` that would never be called."""
    most = source.max_results
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        raise ContractError(source.name, "max_results", "a whole number from 1, or None", repr(most))
    if not source.is_splitting:
        return
    if not source.is_sliced:
        raise ContractError(source.name, "split", "`slices` or `parent` beside it, whose slices it splits", "neither")
    if most is None:
        raise ContractError(source.name, "split", "`max_results` beside it, the items to split at", "none")


def _check_parent(source: ImportSource) -> None:
    parent = source.parent
    is_source = isinstance(parent, ImportSource) or (isinstance(parent, type) and issubclass(parent, ImportSource))
    if not is_source and not isinstance(parent, str):
        raise ContractError(source.name, "parent", "the class of a source, or its name", repr(parent))
    if not isinstance(source.parent_name, str) or not source.parent_name:
        raise ContractError(source.name, "parent", "a source that has a `name`", repr(parent))
    if source.parent_name == source.name:
        raise ContractError(source.name, "parent", "another source", "itself")


def check_parents(sources: Sequence[ImportSource]) -> None:
    """Raise ContractError for a parent that is not listed, and for sources that are each other's parents."""
    parents = {source.name: source.parent_name for source in sources}
    files = {source.name: source.declared_in or "" for source in sources}
    for name, parent in parents.items():
        if parent is not None and parent not in parents:
            known = ", ".join(sorted(set(parents) - {name})) or "no other source"
            raise ContractError(name, "parent", f"a source of the same list ({known})", parent, file=files[name])
    for name in parents:
        chain = [name]
        while (above := parents[chain[-1]]) is not None:
            if above in chain:
                circle = " -> ".join([*chain[chain.index(above) :], above])
                raise ContractError(name, "parent", "a source that is not below it itself", circle, file=files[name])
            chain.append(above)
