"""Resumes of an import without progress, and the errors with which its workers broke off."""

from dataclasses import dataclass, replace

from sqlalchemy import Connection, func, select

from import_pipeline.redaction import redact
from import_pipeline.rules.import_metadata import ImportFacts
from import_pipeline.rules.resumes import ProgressMark
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.tables import import_item_statuses as statuses

#: Characters of an error that are stored.
MAX_ERROR_LENGTH = 300
#: Characters of an error that are read.
MAX_ERROR_READ = 4_000


@dataclass(frozen=True, kw_only=True)
class ResumeCount:
    """A resume, ready to be stored."""

    resumes: int  #: in a row without progress, this one included
    facts: ImportFacts


def without_progress(connection: Connection, found: ImportRow) -> int:
    """Return the number of resumes since the import last made progress."""
    if not found.resumes or _current_mark(connection, found).is_beyond(_latest_mark(found)):
        return 0
    return found.resumes


def next_resume(connection: Connection, found: ImportRow) -> ResumeCount:
    """Count one more resume, unless the former worker released the import in order."""
    facts = found.facts
    if found.pid is None and facts.broke_off is None:
        return ResumeCount(resumes=found.resumes, facts=facts)
    before, now = _latest_mark(found), _current_mark(connection, found)
    got_on = now.is_beyond(before)
    in_all = found.resumes if facts.resumes_in_all is None else facts.resumes_in_all
    facts = replace(facts, standing_at_resume=now.highest(before), resumes_in_all=in_all + 1, broke_off=None)
    return ResumeCount(resumes=1 if got_on else found.resumes + 1, facts=facts)


def worker_error(found: ImportRow) -> str | None:
    """Return the error with which the import's latest worker broke off; None if it did not."""
    return found.facts.broke_off


def describe_error(error: BaseException) -> str:
    """Describe an error in one line, without secrets."""
    text = " ".join(str(error)[:MAX_ERROR_READ].split())
    return redact(f"{type(error).__name__}: {text}" if text else type(error).__name__)[:MAX_ERROR_LENGTH]


def _latest_mark(found: ImportRow) -> ProgressMark:
    return found.facts.standing_at_resume or ProgressMark.read(None)


def _current_mark(connection: Connection, found: ImportRow) -> ProgressMark:
    rows = (statuses.c.import_id == found.id,)
    count, tries = connection.execute(
        select(func.count(), func.coalesce(func.sum(statuses.c.failure_count), 0)).where(*rows)
    ).one()
    state = found.read_state
    return ProgressMark(
        found=count,
        done=found.items_done,
        tries=int(tries),
        reading=state.passes,
        page=state.page + (found.slices_count or 0) + found.slices_completed_count + found.slices_failed_count,
    )
