"""The protocol between a process and a store of shared tokens. Values are sealed; a store never sees a token.

The store's own clock decides ages and locks, so that no process's clock matters. A lock ends by itself: a process that
dies with it delays the others only until then.
"""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredToken:
    """A sealed token as the store has it."""

    version: int  #: grows with each token of the name
    value: bytes = field(repr=False)
    age: float | None  #: seconds since it was requested; None: unknown, as after a boot


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """The answer to the request for the lock of a name."""

    stored: StoredToken | None
    is_granted: bool
    wait: float = 0.0  #: seconds until another process's lock ends at the latest


class TokenStore(Protocol):
    """A store of sealed tokens by name. Its methods raise StoreError."""

    blocks: bool  #: True if a call waits for I/O, and so belongs into a thread

    def claim(self, name: str, owner: str, seconds: float) -> Claim:
        """Return the stored token, and take the lock for that long unless another owner has it."""
        ...

    def put(self, name: str, owner: str, value: bytes, *, after: int, age: float) -> int | None:
        """Store the token that follows version `after`, durably, and end the lock. Return its version.

        None: another process stored one meanwhile.
        """
        ...

    def hold(self, name: str, owner: str, seconds: float) -> None:
        """Let the owner's lock end in that many seconds; 0 ends it now."""
        ...

    def close(self) -> None:
        """Close connections or files; the next call opens them again."""
        ...
