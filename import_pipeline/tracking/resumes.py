"""Resumes of an import, counted as long as they bring it no further, and what its workers broke off with."""

from dataclasses import dataclass, replace

from sqlalchemy import Connection, func, select

from import_pipeline.redaction import redact
from import_pipeline.rules.import_metadata import ImportFacts
from import_pipeline.rules.resumes import Standing
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.tables import import_item_statuses as statuses

#: Characters of that error that are kept.
LONGEST_ERROR = 300
#: Characters of it that are read at all.
MOST_READ = 4_000


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A resume as it is to be written down."""

    resumes: int  #: in a row without progress, this one included
    facts: ImportFacts


def without_progress(connection: Connection, found: ImportRow) -> int:
    """How often the import was resumed since it last got on."""
    if not found.resumes or _now(connection, found).is_beyond(_before(found)):
        return 0
    return found.resumes


def counted(connection: Connection, found: ImportRow) -> Counted:
    """One more resume; not where the worker before has left in order, which is no sign of trouble."""
    facts = found.facts
    if found.pid is None and facts.broke_off is None:
        return Counted(resumes=found.resumes, facts=facts)
    before, now = _before(found), _now(connection, found)
    got_on = now.is_beyond(before)
    in_all = found.resumes if facts.resumes_in_all is None else facts.resumes_in_all
    facts = replace(facts, standing_at_resume=now.highest(before), resumes_in_all=in_all + 1, broke_off=None)
    return Counted(resumes=1 if got_on else found.resumes + 1, facts=facts)


def broke_off(found: ImportRow) -> str | None:
    """The error with which the import's latest worker broke off."""
    return found.facts.broke_off


def said_of(error: BaseException) -> str:
    """An error in one line, without secrets."""
    text = " ".join(str(error)[:MOST_READ].split())
    return redact(f"{type(error).__name__}: {text}" if text else type(error).__name__)[:LONGEST_ERROR]


def _before(found: ImportRow) -> Standing:
    return found.facts.standing_at_resume or Standing.read(None)


def _now(connection: Connection, found: ImportRow) -> Standing:
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
