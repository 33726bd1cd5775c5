"""Shared tokens in memory, on the clock of a test."""

from dataclasses import dataclass

from import_pipeline.clock import Clock, SystemClock
from import_pipeline.ratelimit.tokens.protocol import Claim, StoredToken


@dataclass
class _Kept:
    version: int = 0
    value: bytes | None = None
    requested_at: float = 0.0
    owner: str = ""
    held_until: float = 0.0


class MemoryTokens:
    """Tokens in this object alone, on any clock."""

    blocks = False

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or SystemClock()
        self._tokens: dict[str, _Kept] = {}

    def claim(self, name: str, owner: str, seconds: float) -> Claim:
        """Return the stored token, and take the lock for that long unless another owner has it."""
        kept, now = self._tokens.setdefault(name, _Kept()), self._clock.monotonic()
        age = now - kept.requested_at
        stored = None if kept.value is None else StoredToken(version=kept.version, value=kept.value, age=age)
        if kept.owner not in {"", owner} and kept.held_until > now:
            return Claim(stored=stored, is_granted=False, wait=kept.held_until - now)
        kept.owner, kept.held_until = owner, now + seconds
        return Claim(stored=stored, is_granted=True)

    def put(self, name: str, owner: str, value: bytes, *, after: int, age: float) -> int | None:
        """Store the token that follows version `after`, and end the lock. Return its version; None if another came."""
        kept = self._tokens.setdefault(name, _Kept())
        if kept.version != after:
            return None
        self._tokens[name] = _Kept(version=after + 1, value=value, requested_at=self._clock.monotonic() - age)
        return after + 1

    def hold(self, name: str, owner: str, seconds: float) -> None:
        """Let the owner's lock end in that many seconds; 0 ends it now."""
        kept = self._tokens.setdefault(name, _Kept())
        if kept.owner == owner:
            kept.held_until = self._clock.monotonic() + seconds

    def forget(self) -> None:
        """Lose everything, as an emptied store does."""
        self._tokens.clear()

    def close(self) -> None:
        """Do nothing: no connection or file is open."""
