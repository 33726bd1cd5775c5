"""New slices of an incremental import: no import has read them up to the bookmark, so they are read whole."""

from import_pipeline.contracts import ImportSource
from import_pipeline.importer.bookmarks.beginning import reading_from
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.slices.enumeration import own_keys
from import_pipeline.rules.lists.slice_keys import short_key
from import_pipeline.tracking.lists.covered_slices import (
    belongs_to_whole,
    covered_by_items,
    is_covered,
    position_read_to,
    to_read_whole,
)

#: Event: slices are new since the bookmark was moved.
NEW_SLICES = "slices_new"


class NewSlices:
    """Finds the slices whose items may lie below the bookmark although no import has read them."""

    def __init__(self, context: ImportContext) -> None:
        self._context = context
        self._proven: frozenset[str] | None = None  #: slices that no slice row, but an item proves as read
        self._to_read_whole: frozenset[str] | None = None  #: slices whose parent's item was gone meanwhile
        self._full_keys: frozenset[str] | None = None  #: the keys of a full import; read once they are needed
        self._is_noted = False

    async def own_reading_of(self, key: str) -> ImportSource | None:
        """Return the source that reads the slice whole, or from a position of its own; None if as the import reads all.

        A person who has set the bookmark decides for all slices. Keys that only incremental imports have, such as a
        window of time since the bookmark, say themselves what they read. Raises HookFailed.
        """
        context, row = self._context, self._context.row
        if context.source.since is None or row.facts.bookmark_import is None:
            return None
        if context.source.parent is not None and key in await self._whole_slices():
            return reading_from(context.source, None)
        if await context.write(is_covered, row, key):
            return None
        settings = context.source.incremental
        if context.source.changed_only and settings is not None:
            since = await context.write(position_read_to, row, key, settings.lookback)
            return reading_from(context.source, since) if since is not None else await self._whole(key)
        if self._proven is None:
            self._proven = await context.write(covered_by_items, row)
        return None if key in self._proven else await self._whole(key)

    async def _whole_slices(self) -> frozenset[str]:
        if self._to_read_whole is None:
            self._to_read_whole = await self._context.write(to_read_whole, self._context.row)
        return self._to_read_whole

    async def _whole(self, key: str) -> ImportSource | None:
        context, row = self._context, self._context.row
        whole = reading_from(context.source, None)
        if (
            whole.parent is None
            and key not in self._keys_of(whole)
            and not await context.write(belongs_to_whole, row, key)
        ):
            return None
        if not self._is_noted:
            self._is_noted = True
            sentence = f"Slices that are new since the bookmark are read whole, first {short_key(key)}."
            await context.note(NEW_SLICES, sentence, slice=key)
        return whole

    def _keys_of(self, whole: ImportSource) -> frozenset[str]:
        if self._full_keys is None:
            monotonic = self._context.clock.monotonic
            self._full_keys = frozenset(key for keys in own_keys(whole, monotonic) for key in keys)
        return self._full_keys
