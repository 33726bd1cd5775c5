"""Resumes: how many in a row may bring an import no further before it counts as hopeless. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: So many resumes in a row without any progress between them are too many; with progress there is no bound.
MAX_RESUMES = 3
#: Readings of a list of which each counts as progress: one that starts anew after every death never ends.
MAX_READINGS = 3


@dataclass(frozen=True, kw_only=True)
class ProgressMark:
    """How far an import has got. Each figure only grows, and each is bounded by the import's items and pages."""

    found: int  #: items that are known
    done: int  #: items that need no more work
    tries: int  #: failed tries that are stored: each brings its item nearer to its end
    reading: int  #: of the list
    page: int  #: of that reading

    @classmethod
    def read(cls, kept: Mapping[str, Any] | None) -> "ProgressMark":
        """The standing as it was kept; that of a new import where none was."""
        figures = kept or {}
        return cls(**{name: int(figures.get(name, 0)) for name in cls.__dataclass_fields__})

    def is_beyond(self, before: "ProgressMark") -> bool:
        """Tell if the import has got on since then."""
        return (
            self.found > before.found
            or self.done > before.done
            or self.tries > before.tries
            or self._in_list() > before._in_list()
        )

    def highest(self, before: "ProgressMark") -> "ProgressMark":
        """The furthest of both: a list that starts anew has not got on before it is beyond where it was."""
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
    """The reason of an import that ends as failed by that, as a sentence without its full stop."""
    last = f"at last it broke off: {worker_error}" if worker_error else "its worker was gone each time"
    return f"resumed {resumes} times without progress; {last}"
