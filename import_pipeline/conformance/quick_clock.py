"""A clock whose seconds are short: a rehearsal has no API that a wait would spare."""

from import_pipeline.clock import SystemClock

#: Its seconds in one real second.
FASTER = 20


class QuickClock(SystemClock):
    """Sleeps take a twentieth of their time; `now()` stays the wall clock, which leases rely on."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; they never go back."""
        return super().monotonic() * FASTER

    async def sleep(self, seconds: float) -> None:
        """Wait that many of its seconds; zero or less yields to other tasks once."""
        await super().sleep(seconds / FASTER)
