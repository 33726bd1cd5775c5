"""How far an import is, and how well it used the limits. Plain numbers in, plain numbers out."""


def percent_done(done: int, total: int | None) -> float | None:
    """Per cent of the items that need no more work; None while the total is unknown."""
    if total is None:
        return None
    return 100.0 if total <= 0 else min(100.0, 100.0 * done / total)


def active_seconds(duration_seconds: float, sleep_seconds: float) -> float:
    """The time that an import did not spend waiting for permits; sleep never exceeds the duration."""
    return max(0.0, duration_seconds - sleep_seconds)


def efficiency(hits: int, sleeps: int) -> float | None:
    """100 x sleeps / (hits + sleeps): the share of waits that nobody had to force; None when there were none."""
    return None if hits + sleeps == 0 else 100.0 * sleeps / (hits + sleeps)


def incomplete_reason(discovered: int, total: int | None, stopped_early: str | None = None) -> str | None:
    """Why an import that ends must not look complete, or None: it saw fewer items than the list says it has."""
    if stopped_early:
        return stopped_early
    if total is not None and discovered < total:
        return f"the list says {total} items, {discovered} were found on its pages"
    return None
