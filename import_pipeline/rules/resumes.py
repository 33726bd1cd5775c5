"""The limit of resumes in a row without progress, and the measure of progress. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Resumes in a row without progress, after which an import fails. Resumes with progress are unlimited.
MAX_RESUMES = 3
#: Passes over a list that count as progress: a list that restarts after every crash would never end.
MAX_READINGS = 3


@dataclass(frozen=True, kw_only=True)
class ProgressMark:
    """The progress of an import. Each figure only grows, bounded by the import's items and pages."""

    found: int  #: known items
    done: int  #: items that need no more work
    tries: int  #: stored failed attempts, each of which brings its item nearer to its end
    reading: int  #: the pass over the list
    page: int  #: the page of that pass

    @classmethod
    def read(cls, kept: Mapping[str, Any] | None) -> "ProgressMark":
        """Return the stored mark; that of a new import if there is none."""
        figures = kept or {}
        return cls(**{name: int(figures.get(name, 0)) for name in cls.__dataclass_fields__})

    def is_beyond(self, before: "ProgressMark") -> bool:
        """Return True if the import has made progress since then."""
        return (
            self.found > before.found
            or self.done > before.done
            or self.tries > before.tries
            or self._in_list() > before._in_list()
        )

    def highest(self, before: "ProgressMark") -> "ProgressMark":
        """Return the higher of both marks, figure by figure. A restarted list is progress only beyond its old page."""
        reading, page = max(self._in_list(), before._in_list())
        return ProgressMark(
            found=max(self.found, before.found),
            done=max(self.done, before.done),
            tries=max(self.tries, before.tries),
            reading=reading,
            page=page,
        )

    def _in_list(self) -> tuple[int, int]:
        return min(self.reading, MAX_READINGS), self.page


def resume_limit_reason(resumes: int, worker_error: str | None) -> str:
    """Return the failure reason of an import that reached the limit, without a full stop."""
    last = f"at last it broke off: {worker_error}" if worker_error else "its worker died each time"
    return f"resumed {resumes} times without progress; {last}"
