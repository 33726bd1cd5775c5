"""Planned faults: their notation, and the number of times that each still happens.

    17=status:500*2            item 17 answers 500 the first two times
    18=status:404              item 18 always answers 404
    19=garbage                 item 19 answers 200 with truncated JSON
    20=hang                    item 20 never answers
    21=drop                    the connection of item 21 is closed without a response
    22=body:[1,2]              item 22 answers 200 with this body
    23=status:429:5*1          item 23 answers 429 with Retry-After: 5, once (default: 1)
    page:2=status:500*1        page 2 of the list answers 500, once

Several faults of one target happen one after the other, in the order given.
"""

import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from source_api.errors import BadOption

NOTATION = re.compile(
    r"(?P<target>page:)?(?P<number>[0-9]{1,18})=(?P<kind>[a-z]+)(?P<value>:.*?)?(?:\*(?P<times>[0-9]{1,9}))?", re.DOTALL
)
VALUE_OF_STATUS = re.compile(r":(?P<status>[2-5][0-9]{2})(?::(?P<retry_after>[ -~]*))?")


class Target(StrEnum):
    """The target of a fault."""

    ITEM = "item"  #: the detail of the item with this id
    PAGE = "page"  #: the list page with this number, of any size


class FaultKind(StrEnum):
    """The kind of fault."""

    STATUS = "status"  #: a response with this status and an optional Retry-After
    GARBAGE = "garbage"  #: status 200 with truncated JSON
    HANG = "hang"  #: no response until the client gives up or the server stops
    DROP = "drop"  #: the connection is closed without a response
    BODY = "body"  #: status 200 with a given body


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault. `times` None: it happens to every request. `retry_after` None: no such header."""

    target: Target
    number: int
    kind: FaultKind
    status: int = HTTPStatus.OK
    retry_after: str | None = None
    body: str = ""
    times: int | None = None


def parse_fault(text: str) -> Fault:
    """Parse a fault in the notation of this module. `*N` at the very end is always the number of times. Raises
    BadOption.
    """
    fault = _read(text)
    if fault is None:
        expected = "'ID=WHAT' or 'page:N=WHAT', WHAT being status:CODE[:RETRY_AFTER], garbage, hang, drop or body:TEXT"
        raise BadOption("--fault", expected=f"{expected}, with '*N' appended for only the first N times", got=text)
    return fault


def _read(text: str) -> Fault | None:
    parts = NOTATION.fullmatch(text)
    if parts is None or parts["kind"] not in set(FaultKind):
        return None
    target = Target.PAGE if parts["target"] else Target.ITEM
    number, kind = int(parts["number"]), FaultKind(parts["kind"])
    times = int(parts["times"]) if parts["times"] else None
    if kind is FaultKind.STATUS:
        value = VALUE_OF_STATUS.fullmatch(parts["value"] or "")
        if value is None:
            return None
        status, wait = int(value["status"]), value["retry_after"]
        if wait is None and status == HTTPStatus.TOO_MANY_REQUESTS:
            wait = "1"
        return Fault(target=target, number=number, kind=kind, status=status, retry_after=wait or None, times=times)
    if kind is FaultKind.BODY:
        if parts["value"] is None:
            return None
        return Fault(target=target, number=number, kind=kind, body=parts["value"][1:], times=times)
    return None if parts["value"] else Fault(target=target, number=number, kind=kind, times=times)


class Faults:
    """The planned faults; each counts how often it has happened."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._faults = faults
        self._happened: Counter[int] = Counter()

    def next(self, target: Target, number: int) -> Fault | None:
        """Return the fault of this request and count it; None for a normal response."""
        for index, fault in enumerate(self._faults):
            if (fault.target, fault.number) != (target, number):
                continue
            if fault.times is None or self._happened[index] < fault.times:
                self._happened[index] += 1
                return fault
        return None

    def forget(self) -> None:
        """Make every fault happen again as often as planned."""
        self._happened.clear()
