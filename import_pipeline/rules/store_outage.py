"""Leaving an import because the store of the limits does not answer: when that is no outage, but hopeless. No I/O."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Release:
    """A worker has left its import to another one, which is to go on once the store is back."""

    requests: int  #: that the import had sent by then
    in_vain: int = 0  #: how many workers in a row left so without a request, though the store answered the sensor


def next_leave(before: Release | None, *, requests: int, was_asked_for: bool) -> Release:
    """What is kept of a worker that leaves now, after the one before.

    `was_asked_for`: a run was asked for since, which the sensor does only where the store answers it. What a person
    tries during an outage does not count, and a request that was sent since tells that the store did answer.
    """
    if before is None or requests != before.requests:
        return Release(requests=requests)
    return Release(requests=requests, in_vain=before.in_vain + was_asked_for)
