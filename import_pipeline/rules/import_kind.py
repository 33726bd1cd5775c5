"""The kind of an import of an incremental source: full, or incremental since its bookmark. No I/O."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from import_pipeline.rules.import_metadata import ImportOptions


@dataclass(frozen=True, kw_only=True)
class KindDecision:
    """The decision at the start of an import. `reason` ends a sentence about a full one."""

    is_full: bool
    reason: str = ""


def decide_kind(
    *,
    bookmark: str | None,
    options: ImportOptions,
    full_at: datetime | None,
    full_every: timedelta | None,
    due_at: datetime,
    problem: str | None = None,
) -> KindDecision:
    """Decide between a full and an incremental import that is due at that time.

    `full_at`: when the last complete full import was due. `problem`: why the bookmark cannot be used.
    """
    if options.fetches_all or options.full:
        return KindDecision(is_full=True, reason="as requested")
    if options.limit is not None:
        return KindDecision(is_full=True, reason="a limit counts from the start of the list")
    if bookmark is None:
        return KindDecision(is_full=True, reason="there is no bookmark")
    if problem is not None:
        return KindDecision(is_full=True, reason=problem)
    if full_every is not None and (full_at is None or due_at - full_at >= full_every):
        last = "none was completed" if full_at is None else f"the last one was due at {full_at:%Y-%m-%d %H:%M} UTC"
        return KindDecision(is_full=True, reason=f"one is due every {full_every}, and {last}")
    return KindDecision(is_full=False)
