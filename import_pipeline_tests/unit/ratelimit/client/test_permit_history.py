"""The record that a process keeps of its own requests."""

from import_pipeline.ratelimit.client.permit_history import PermitHistory
from import_pipeline.ratelimit.protocol import SECOND, Outcome, Settlement


def answered(permit: str, age: float) -> Settlement:
    return Settlement(permit=permit, outcome=Outcome.ANSWERED, age=round(age * SECOND))


def test_everything_that_still_counts_is_replayed() -> None:
    """Answered ones with their age, flying ones with the time they have left, expired ones as of their expiry."""
    history = PermitHistory(10)
    for permit, latest in (("a", 32), ("b", 33), ("c", 34), ("d", 35), ("e", 36)):
        history.granted(permit, 1, latest)
    history.answered("a", 1, 1)
    history.answered("b", 1, 25)
    history.remove("c")
    in_flight = Settlement(permit="e", outcome=Outcome.IN_FLIGHT, wait=SECOND // 2)
    assert history.replay(35.5 - 1) == [
        answered("b", 9.5),
        Settlement(permit="d", outcome=Outcome.IN_FLIGHT, wait=SECOND // 2),
        Settlement(permit="e", outcome=Outcome.IN_FLIGHT, wait=SECOND + SECOND // 2),
    ]
    assert history.replay(35.5) == [answered("d", 0.5), in_flight]


def test_what_no_longer_counts_is_forgotten() -> None:
    history = PermitHistory(10)
    for number in range(1000):
        history.granted(f"{number}", 1, number + 1)
        history.answered(f"{number}", 1, number)
    history.granted("never answered", 1, 900)
    history.tidy(1000)
    assert (len(history._answered), len(history._in_flight)) == (11, 0)
