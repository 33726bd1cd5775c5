"""How long to wait before trying again. Chance only ever makes it longer: never earlier than asked or promised."""

from collections.abc import Sequence
from datetime import timedelta

#: The most that chance adds, as a part of the delay.
JITTER = 0.1
#: The pause after a first refusal without a hint, and what pauses double up to with each further one in a row.
FIRST_GUESS, LONGEST_GUESS = timedelta(seconds=1), timedelta(minutes=1)


def retry_delay(failures: int, backoff: Sequence[float], chance: float) -> timedelta:
    """The delay after so many failures (from 1): the table's, the last one for all further, up to a tenth longer.

    `chance` is drawn from [0, 1).
    """
    if failures < 1 or not backoff:
        return timedelta(0)
    seconds = backoff[min(failures, len(backoff)) - 1]
    return timedelta(seconds=seconds * (1 + JITTER * chance))


def pause_after(wait: timedelta | None, refusals: int, *, chance: float, first: timedelta = FIRST_GUESS) -> timedelta:
    """Return how long everybody pauses after a refusal, the `refusals`-th in a row (from 1).

    A wait above zero is obeyed to the letter. Without a hint it is 1, 2, 4 ... 60 s, up to a tenth longer by chance:
    the configured windows say nothing about it, since a server that keeps to them would not have refused.
    """
    if wait is not None and wait > timedelta(0):
        return wait
    doublings = min(max(refusals - 1, 0), 16)
    doubled: timedelta = first * 2**doublings
    return max(first, min(doubled, LONGEST_GUESS)) * (1 + JITTER * chance)
