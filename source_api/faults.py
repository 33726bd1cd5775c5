"""Trouble on request: what a fault is, how it is written, and how often it still happens.

    17=status:500*2            item 17 answers 500 the first two times
    18=status:404              item 18 answers 404, always
    19=garbage                 item 19 answers 200 with JSON that breaks off
    20=hang                    item 20 never answers
    21=drop                    item 21's connection is closed without an answer
    22=body:[1,2]              item 22 answers 200 with this body
    23=status:429:5*1          item 23 answers 429 with Retry-After: 5, once (without a number: 1)
    page:2=status:500*1        page 2 of the list answers 500, once

Several faults of one target happen one after the other, in the order in which they were given.
"""

import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from source_api.errors import BadOption

NOTATION = re.compile(
    r"(?P<place>page:)?(?P<number>[0-9]{1,18})=(?P<kind>[a-z]+)(?P<value>:.*?)?(?:\*(?P<times>[0-9]{1,9}))?", re.DOTALL
)
VALUE_OF_STATUS = re.compile(r":(?P<status>[2-5][0-9]{2})(?::(?P<retry_after>[ -~]*))?")


class Place(StrEnum):
    """What a fault happens to."""

    ITEM = "item"  #: the detail of the item with this id
    PAGE = "page"  #: the list's page with this number, whatever its size


class FaultKind(StrEnum):
    """What happens."""

    STATUS = "status"  #: an answer with this status, and perhaps a Retry-After
    GARBAGE = "garbage"  #: status 200, but JSON that breaks off
    HANG = "hang"  #: no answer, until the client or the server gives up
    DROP = "drop"  #: the connection is closed without an answer
    BODY = "body"  #: status 200 with a given body


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One piece of trouble. `times` is None when it never ends; `retry_after` None leaves the header out."""

    place: Place
    number: int
    kind: FaultKind
    status: int = HTTPStatus.OK
    retry_after: str | None = None
    body: str = ""
    times: int | None = None


def parse_fault(text: str) -> Fault:
    """Reads a fault in the notation above. A `*N` at the very end is always the number of times."""
    fault = _read(text)
    if fault is None:
        expected = "'ID=WHAT' or 'page:N=WHAT', WHAT being status:CODE[:RETRY_AFTER], garbage, hang, drop or body:TEXT"
        raise BadOption("--fault", expected=f"{expected}, and '*N' behind it for only the first N times", got=text)
    return fault


def _read(text: str) -> Fault | None:
    parts = NOTATION.fullmatch(text)
    if parts is None or parts["kind"] not in set(FaultKind):
        return None
    place = Place.PAGE if parts["place"] else Place.ITEM
    number, kind = int(parts["number"]), FaultKind(parts["kind"])
    times = int(parts["times"]) if parts["times"] else None
    if kind is FaultKind.STATUS:
        value = VALUE_OF_STATUS.fullmatch(parts["value"] or "")
        if value is None:
            return None
        status, wait = int(value["status"]), value["retry_after"]
        if wait is None and status == HTTPStatus.TOO_MANY_REQUESTS:
            wait = "1"
        return Fault(place=place, number=number, kind=kind, status=status, retry_after=wait or None, times=times)
    if kind is FaultKind.BODY:
        if parts["value"] is None:
            return None
        return Fault(place=place, number=number, kind=kind, body=parts["value"][1:], times=times)
    return None if parts["value"] else Fault(place=place, number=number, kind=kind, times=times)


class Faults:
    """The faults that still happen; each counts how often it did."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._faults = faults
        self._happened: Counter[int] = Counter()

    def next(self, place: Place, number: int) -> Fault | None:
        """The fault that happens to this request, and is thereby spent once; None for a good answer."""
        for index, fault in enumerate(self._faults):
            if (fault.place, fault.number) != (place, number):
                continue
            if fault.times is None or self._happened[index] < fault.times:
                self._happened[index] += 1
                return fault
        return None

    def forget(self) -> None:
        """Lets every fault happen again as often as it was given."""
        self._happened.clear()
