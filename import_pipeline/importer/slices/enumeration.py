"""Store the keys of an import's slices in batches, while the first slices are read already."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.contracts.hooks import label_of
from import_pipeline.errors import ImportFailed
from import_pipeline.importer.discovery.stored_versions import fingerprint_of_version
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.slices.ending import ended
from import_pipeline.importer.slices.state import SlicesState
from import_pipeline.importer.user_code.hooks import hook_batches
from import_pipeline.rules.import_metadata import ImportOptions
from import_pipeline.rules.lists.slice_keys import LONGEST_KEY, is_key
from import_pipeline.tracking import leases
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.lists import parents, revisions, slices

#: Keys that are stored in one transaction.
BATCH = 1_000
#: Seconds after which a slow `slices()` gives way to other work.
BATCH_SECONDS = 0.1
#: More keys than this come from an endless generator.
MOST_KEYS = 10_000_000


def own_keys(source: ImportSource, monotonic: Callable[[], float]) -> Iterator[list[str]]:
    """Yield the keys of the source's own `slices` in batches. Raises HookFailed, and ImportFailed for endless ones."""
    count = 0
    for keys in hook_batches(
        source,
        "slices",
        is_good=is_key,
        expected=f"texts of 1 to {LONGEST_KEY} characters",
        size=BATCH,
        seconds=BATCH_SECONDS,
        monotonic=monotonic,
    ):
        count += len(keys)
        if count > MOST_KEYS:
            raise ImportFailed(f"{label_of(source, 'slices')} has more than {MOST_KEYS:,} keys: it does not end")
        yield keys


def never_imported(source: ImportSource) -> str:
    """Return the reason why a source whose parent has no items yet cannot be imported."""
    parent = source.parent_name
    return (
        f"its parent {parent} has never been imported, so {source.name} has no slices yet: run "
        f"`import-pipeline run {parent}` first"
    )


def reference_of(connection: Connection, source: ImportSource, options: ImportOptions) -> ImportRow | None:
    """Return the import after which changes of the parent's items count; None if all slices are to be read."""
    if not source.changed_only or options.fetches_all or options.full:
        return None
    last = parents.reference(connection, source.name)
    if last is not None and last.id < revisions.found_by(connection, source.name):
        return None  # it read the slices before the source's revision changed: all of them are read again
    return last


class Enumeration:
    """Finds the keys of the slices: those of the source's own `slices`, or the ids of the parent's items.

    After a crash a parent's keys continue after the last one; `slices` is called again, and known keys are left out.
    """

    def __init__(
        self, context: ImportContext, on_added: Callable[[], object], is_over: Callable[[], bool] = lambda: False
    ) -> None:
        self.state = SlicesState()
        self._context = context
        self._on_added = on_added
        self._is_over = is_over  #: no more slices will be read
        self._versions = fingerprint_of_version(context.source)

    async def begin(self) -> None:
        """Read the state of the import, or decide on a new one. Raises ImportFailed if the parent has no items yet."""
        parent = self._context.source.parent_name
        stored = SlicesState.read(self._context.row.checkpoint)
        if stored is not None and (stored.parent == parent or self._context.row.retry_of is not None):
            self.state = stored
        else:
            self.state = await self._context.write(self._decide, parent)

    async def run(self) -> None:
        """Store all keys that are not stored yet. Raises HookFailed and ImportFailed."""
        if self.state.is_listed:
            return
        if self.state.parent is None:
            await self._own_keys()
        else:
            await self._keys_of_parent(self.state.parent)
        if not self._is_over():
            await self._add([], replace(self.state, is_listed=True))

    async def end(self) -> None:
        """Store that no slice is left to read, and what the slices show together."""
        self.state = await self._context.write(self._end)

    def _end(self, connection: Connection) -> SlicesState:
        context = self._context
        leases.hold(connection, context.lease, to_write=True)
        state = ended(connection, context.row, self.state)
        slices.end(connection, context.lease, context.clock.now(), state.dump(self._versions))
        return state

    def _decide(self, connection: Connection, parent: str | None) -> SlicesState:
        """Return the state of an import that begins, and store it."""
        context, state = self._context, SlicesState(parent=parent)
        if parent is not None and not parents.was_imported(connection, parent):
            raise ImportFailed(never_imported(context.source))
        last = reference_of(connection, context.source, context.row.options)
        if parent is not None:
            until, unfinished = parents.imports_of(connection, parent)
            state = replace(state, parent_until=until, parent_open=unfinished)
        if last is not None:
            state = replace(state, reference=last.id)
        slices.begin(connection, context.lease, context.clock.now(), state.dump(self._versions))
        return state

    async def _own_keys(self) -> None:
        for keys in own_keys(self._context.source, self._context.clock.monotonic):
            await self._add(keys, self.state)
            if self._is_over():
                return

    async def _keys_of_parent(self, parent: str) -> None:
        state, changed = self.state, None
        if state.reference is not None:
            changed = await self._context.write(parents.changed_or_owed, self._context.source.name, state.reference)
        while not self._is_over():
            keys = await self._context.write(parents.keys, parent, self.state.last_key, BATCH, changed)
            if not keys:
                return
            await self._add(keys, replace(self.state, last_key=keys[-1]))

    async def _add(self, keys: Sequence[str], state: SlicesState) -> None:
        context = self._context
        await context.write(slices.add, context.lease, keys, context.clock.now(), state.dump(self._versions))
        self.state = state
        self._on_added()
