"""How long to wait before trying again. Chance only ever makes it longer: never earlier than asked or promised."""

from collections.abc import Sequence
from datetime import timedelta

#: The most that chance adds, as a part of the delay.
JITTER = 0.1
#: Refusals without any hint make pauses double up to this.
LONGEST_GUESS = timedelta(minutes=5)


def retry_delay(failures: int, backoff: Sequence[float], chance: float) -> timedelta:
    """The delay after so many failures (from 1): the table's, the last one for all further, up to a tenth longer.

    `chance` is drawn from [0, 1).
    """
    if failures < 1 or not backoff:
        return timedelta(0)
    seconds = backoff[min(failures, len(backoff)) - 1]
    return timedelta(seconds=seconds * (1 + JITTER * chance))


def pause_after(
    wait: timedelta | None, refusals: int, *, shortest: timedelta, floor: timedelta, chance: float
) -> timedelta:
    """How long everybody pauses after a refusal, the `refusals`-th in a row (from 1).

    A positive wait is obeyed to the letter. None at all means the `shortest` window. Zero or less is no hint, and
    guessed from the `floor` up. Guesses double with each refusal and get up to a tenth longer by chance.
    """
    if wait is not None and wait > timedelta(0):
        return wait
    guess = shortest if wait is None else floor
    doublings = min(max(refusals - 1, 0), 16)
    doubled: timedelta = guess * 2**doublings
    return max(guess, min(doubled, LONGEST_GUESS)) * (1 + JITTER * chance)
