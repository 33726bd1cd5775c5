"""Resumes of an import, counted as long as they bring it no further, and what its workers broke off with."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, select

from import_pipeline.redaction import redact
from import_pipeline.rules.resumes import Standing
from import_pipeline.tracking.tables import import_item_statuses as statuses

if TYPE_CHECKING:
    from import_pipeline.tracking.imports import ImportRow

#: In an import's metadata: how far it had got at its latest resume, how often it was resumed in all, and the error with
#: which its latest worker broke off, as long as no other one has taken over.
STANDING, RESUMES_IN_ALL, BROKE_OFF = "standing_at_resume", "resumes_in_all", "broke_off"
#: Characters of that error that are kept.
LONGEST_ERROR = 300
#: Characters of it that are read at all.
MOST_READ = 4_000


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A resume as it is to be written down."""

    resumes: int  #: in a row without progress, this one included
    metadata: dict[str, Any]


def without_progress(connection: Connection, found: "ImportRow") -> int:
    """How often the import was resumed since it last got on."""
    if not found.resumes or _now(connection, found).is_beyond(Standing.read(found.metadata.get(STANDING))):
        return 0
    return found.resumes


def counted(connection: Connection, found: "ImportRow") -> Counted:
    """One more resume; not where the worker before has left in order, which is no sign of trouble."""
    metadata = {name: value for name, value in found.metadata.items() if name != BROKE_OFF}
    if found.pid is None and BROKE_OFF not in found.metadata:
        return Counted(resumes=found.resumes, metadata=metadata)
    before, now = Standing.read(found.metadata.get(STANDING)), _now(connection, found)
    got_on = now.is_beyond(before)
    metadata[STANDING] = asdict(now.highest(before))
    metadata[RESUMES_IN_ALL] = found.metadata.get(RESUMES_IN_ALL, found.resumes) + 1
    return Counted(resumes=1 if got_on else found.resumes + 1, metadata=metadata)


def broke_off(found: "ImportRow") -> str | None:
    """The error with which the import's latest worker broke off."""
    kept: str | None = found.metadata.get(BROKE_OFF)
    return kept


def said_of(error: BaseException) -> str:
    """An error in one line, without secrets."""
    text = " ".join(str(error)[:MOST_READ].split())
    return redact(f"{type(error).__name__}: {text}" if text else type(error).__name__)[:LONGEST_ERROR]


def _now(connection: Connection, found: "ImportRow") -> Standing:
    rows = (statuses.c.import_id == found.id,)
    count, tries = connection.execute(
        select(func.count(), func.coalesce(func.sum(statuses.c.failure_count), 0)).where(*rows)
    ).one()
    checkpoint = found.checkpoint or {}
    return Standing(
        found=count,
        done=found.items_imported_count + found.items_unchanged_count + found.items_failed_count,
        tries=int(tries),
        reading=int(checkpoint.get("passes", 0)),
        page=int(checkpoint.get("page", 0)),
    )
