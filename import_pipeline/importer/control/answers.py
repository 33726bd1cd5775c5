"""Answers to people who steer imports: a sentence, and if it was done before."""

from dataclasses import dataclass

from import_pipeline.tracking.imports import ImportRow


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was done, in a sentence."""

    sentence: str
    already: bool = False  #: another request did the same before, and nothing was changed


@dataclass(frozen=True, kw_only=True)
class Retried:
    """The import that retries what another one has left."""

    row: ImportRow
    already: str | None = None  #: a sentence, if an earlier request made it; then nothing was added


def said_of(who: str | None, reason: str | None) -> str:
    """Name the person and the reason: `by Ada: the boss asked`."""
    return f"by {who or 'somebody'}" + (f": {reason.rstrip('.')}" if reason else "")
