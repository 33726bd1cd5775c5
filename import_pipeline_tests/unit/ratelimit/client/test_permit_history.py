"""What a process remembers of its own requests."""

from import_pipeline.ratelimit.client.permit_history import Memory
from import_pipeline.ratelimit.protocol import SECOND, Outcome, Settlement


def answered(permit: str, age: float) -> Settlement:
    return Settlement(permit=permit, outcome=Outcome.ANSWERED, age=round(age * SECOND))


def test_everything_that_still_counts_is_told_again() -> None:
    """Answered ones with their age, flying ones with the time they have left, expired ones as of their expiry."""
    memory = Memory(10)
    for permit, latest in (("a", 32), ("b", 33), ("c", 34), ("d", 35), ("e", 36)):
        memory.granted(permit, 1, latest)
    memory.answered("a", 1, 1)
    memory.answered("b", 1, 25)
    memory.gone("c")
    flying = Settlement(permit="e", outcome=Outcome.FLYING, wait=SECOND // 2)
    assert memory.told_again(35.5 - 1) == [
        answered("b", 9.5),
        Settlement(permit="d", outcome=Outcome.FLYING, wait=SECOND // 2),
        Settlement(permit="e", outcome=Outcome.FLYING, wait=SECOND + SECOND // 2),
    ]
    assert memory.told_again(35.5) == [answered("d", 0.5), flying]


def test_what_no_longer_counts_is_forgotten() -> None:
    memory = Memory(10)
    for number in range(1000):
        memory.granted(f"{number}", 1, number + 1)
        memory.answered(f"{number}", 1, number)
    memory.granted("never answered", 1, 900)
    memory.tidy(1000)
    assert (len(memory._answered), len(memory._flying)) == (11, 0)
