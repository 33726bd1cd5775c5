"""Create imports: from a caller's options to the values of a new row."""

from collections.abc import Sequence
from datetime import datetime

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import UsageError
from import_pipeline.redaction import SECRETS
from import_pipeline.rules.external_ids import LONGEST_ID, is_external_id
from import_pipeline.rules.import_metadata import ImportOptions
from import_pipeline.rules.status import ImportKind, Trigger
from import_pipeline.tracking.history import importable_type
from import_pipeline.tracking.imports import NewImport


def new_import(
    source: ImportSource,
    trigger: Trigger,
    *,
    kind: ImportKind = ImportKind.FULL,
    only: Sequence[str] = (),
    numbers: Sequence[tuple[int, int]] = (),
    retry_of: int | None = None,
    slot_at: datetime | None = None,
    scheduled_at: datetime | None = None,
    by: str | None = None,
    **options: bool | int | None,
) -> NewImport:
    """Return a new import of the source, with further `options` (see `ImportOptions`).

    `only` (ids), `numbers` (ranges, of buckets) or `retry_of` (what another import left undone) make it a selection.
    Raises UsageError for an id that no database can store, or that is a secret, since it would be stored and sent to
    the API.
    """
    wrong = next((each for each in only if not is_external_id(str(each))), None)
    if wrong is not None:
        raise UsageError(f"{source.name}: expected ids of 1 to {LONGEST_ID} characters, got {str(wrong)[:40]!a}")
    if any(SECRETS.knows(each) for each in only):
        raise UsageError(f"{source.name}: one of the chosen ids is a secret of the settings; choose ids of items")
    return NewImport(
        source=source.name,
        importable_type=importable_type(source.model),
        kind=ImportKind.SELECTION if only or numbers or retry_of else kind,
        trigger=trigger,
        slot_at=slot_at,
        scheduled_at=slot_at or scheduled_at,
        requested_by=by,
        retry_of=retry_of,
        options=ImportOptions(only=tuple(only), numbers=tuple(numbers), **options),  # type: ignore[arg-type]
    )
