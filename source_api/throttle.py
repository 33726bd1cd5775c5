"""The rate limits of a client: tiers, three kinds of window, and the decision on a request.

No function reads a clock: `now` is the time of the request in seconds on any monotonic clock.
"""

import math
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import limits

from source_api.errors import BadOption


@dataclass(frozen=True, kw_only=True, slots=True)
class Tier:
    """One limit: `amount` requests per `seconds`."""

    amount: int
    seconds: int

    def __str__(self) -> str:
        return f"{self.amount}/{self.seconds} s"


class WindowKind(StrEnum):
    """The kind of rate-limit window."""

    SLIDING = "sliding"  #: strict: at most the amount in any period of the tier's length
    FIXED = "fixed"  #: the count restarts when the window that a first request opened ends
    BUCKET = "bucket"  #: token bucket: the amount in tokens, refilled evenly


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitStatus:
    """A client's state in its tightest tier, as sent in the headers. `reset` is in seconds from now."""

    limit: int
    remaining: int
    reset: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The decision on a request. `wait` is the time in seconds until one would be admitted; 0 if this one is."""

    wait: float
    status: LimitStatus | None

    @property
    def admitted(self) -> bool:
        """True if the request is admitted and counted."""
        return self.wait <= 0

    @property
    def retry_after(self) -> int:
        """The wait in whole seconds, rounded up, for a Retry-After header."""
        return max(1, math.ceil(self.wait))


class Window(Protocol):
    """One tier's state for one client."""

    tier: Tier

    def wait(self, now: float) -> float:
        """Return the seconds until one more request fits; 0 if it fits now."""

    def take(self, now: float) -> None:
        """Count a request that fits."""

    def remaining(self, now: float) -> int:
        """Return how many more requests fit now."""

    def reset(self, now: float) -> float:
        """Return the seconds until a used permit is free again; 0 if none is used."""


class SlidingWindow:
    """A sliding-window log: the window (now - w, now] holds at most n requests."""

    def __init__(self, tier: Tier) -> None:
        self.tier = tier
        self._arrivals: deque[float] = deque()

    def wait(self, now: float) -> float:
        arrivals, seconds = self._arrivals, self.tier.seconds
        # The same sum as in the wait below, so that rounding cannot give "full" together with "no wait".
        while arrivals and arrivals[0] + seconds <= now:
            arrivals.popleft()
        return 0.0 if len(arrivals) < self.tier.amount else arrivals[0] + seconds - now

    def take(self, now: float) -> None:
        self._arrivals.append(now)

    def remaining(self, now: float) -> int:
        return self.tier.amount - len(self._arrivals)

    def reset(self, now: float) -> float:
        return max(0.0, self._arrivals[0] + self.tier.seconds - now) if self._arrivals else 0.0


class FixedWindow:
    """A counter that restarts when the window opened by its first request ends."""

    def __init__(self, tier: Tier) -> None:
        self.tier = tier
        self._start = -math.inf
        self._taken = 0

    def wait(self, now: float) -> float:
        if self._start + self.tier.seconds <= now:
            self._taken = 0
        return 0.0 if self._taken < self.tier.amount else self._start + self.tier.seconds - now

    def take(self, now: float) -> None:
        if self._taken == 0:
            self._start = now
        self._taken += 1

    def remaining(self, now: float) -> int:
        return self.tier.amount - self._taken

    def reset(self, now: float) -> float:
        return max(0.0, self._start + self.tier.seconds - now) if self._taken else 0.0


class TokenBucket:
    """A token bucket: it holds the tier's amount, and one token returns every seconds / amount."""

    def __init__(self, tier: Tier) -> None:
        self.tier = tier
        self._places = float(tier.amount)
        self._as_of = 0.0

    def wait(self, now: float) -> float:
        refilled = self._places + (now - self._as_of) * self.tier.amount / self.tier.seconds
        self._places, self._as_of = min(float(self.tier.amount), refilled), now
        return max(0.0, (1 - self._places) * self.tier.seconds / self.tier.amount)

    def take(self, now: float) -> None:
        self._places -= 1

    def remaining(self, now: float) -> int:
        return int(self._places)

    def reset(self, now: float) -> float:
        if self._places >= self.tier.amount:
            return 0.0
        return (math.floor(self._places) + 1 - self._places) * self.tier.seconds / self.tier.amount


WINDOWS: dict[WindowKind, type[SlidingWindow] | type[FixedWindow] | type[TokenBucket]] = {
    WindowKind.SLIDING: SlidingWindow,
    WindowKind.FIXED: FixedWindow,
    WindowKind.BUCKET: TokenBucket,
}


class Throttle:
    """All tiers of all clients. A request is admitted by all tiers, or refused and counted by none."""

    def __init__(self, tiers: tuple[Tier, ...], kind: WindowKind = WindowKind.SLIDING) -> None:
        self.tiers = tiers
        self._kind = kind
        self._clients: dict[str, list[Window]] = {}

    def arrive(self, client: str, now: float) -> Decision:
        """Decide on a request at `now`, and count it if it is admitted."""
        windows = self._clients.get(client)
        if windows is None:
            windows = self._clients[client] = [WINDOWS[self._kind](tier) for tier in self.tiers]
        wait, slowest = 0.0, None
        for window in windows:
            if (its_wait := window.wait(now)) > wait:
                wait, slowest = its_wait, window
        if slowest is not None:
            return Decision(wait=wait, status=LimitStatus(limit=slowest.tier.amount, remaining=0, reset=wait))
        for window in windows:
            window.take(now)
        return Decision(wait=0.0, status=tightest(windows, now))

    def forget(self) -> None:
        """Empty the windows of all clients."""
        self._clients.clear()


def tightest(windows: list[Window], now: float) -> LimitStatus | None:
    """Return the state of the tier with the fewest permits left, of two equal ones the slower; None without tiers."""
    if not windows:
        return None
    window = min(windows, key=lambda each: (each.remaining(now), -each.reset(now)))
    return LimitStatus(limit=window.tier.amount, remaining=window.remaining(now), reset=window.reset(now))


def parse_tiers(text: str) -> tuple[Tier, ...]:
    """Parse tiers in the notation of `limits`, e.g. '500/20 second; 2000/100 second'; 'none' for no limit. Raises
    BadOption.
    """
    if text.strip().lower() == "none":
        return ()
    try:
        tiers = tuple(Tier(amount=item.amount, seconds=item.get_expiry()) for item in limits.parse_many(text))
    except ValueError:
        tiers = ()
    if not tiers or any(tier.amount < 1 for tier in tiers):
        raise BadOption("--limits", expected="tiers such as '500/20 second; 2000/100 second', or 'none'", got=text)
    return tiers
