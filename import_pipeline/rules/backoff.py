"""Delays before another try. Chance only makes them longer, never shorter than requested or promised."""

from collections.abc import Sequence
from datetime import timedelta

#: The most that chance adds, as a fraction of the delay.
JITTER = 0.1
#: The pause after a first refusal without a hint, and the maximum that further ones in a row double up to.
FIRST_GUESS, LONGEST_GUESS = timedelta(seconds=1), timedelta(minutes=1)


def retry_delay(failures: int, backoff: Sequence[float], chance: float) -> timedelta:
    """Return the delay after the n-th failure (from 1): that of the table, plus up to a tenth by `chance` in [0, 1).

    The last delay of the table holds for all further failures.
    """
    if failures < 1 or not backoff:
        return timedelta(0)
    seconds = backoff[min(failures, len(backoff)) - 1]
    return timedelta(seconds=seconds * (1 + JITTER * chance))


def pause_after(wait: timedelta | None, refusals: int, *, chance: float, first: timedelta = FIRST_GUESS) -> timedelta:
    """Return the pause of all processes after the n-th refusal in a row (from 1).

    A wait above zero is obeyed exactly. Without a hint the pause is 1, 2, 4 ... 60 s, up to a tenth longer by chance.
    The configured windows do not matter, since a server that keeps to them would not have refused.
    """
    if wait is not None and wait > timedelta(0):
        return wait
    doublings = min(max(refusals - 1, 0), 16)
    doubled: timedelta = first * 2**doublings
    return max(first, min(doubled, LONGEST_GUESS)) * (1 + JITTER * chance)
