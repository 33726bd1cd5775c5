"""Shared tokens in Redis or Valkey, for any number of machines: a script for each step, on the server's clock."""

from importlib.resources import files
from typing import Any

from redis.exceptions import RedisClusterException

from import_pipeline.ratelimit.protocol import SECOND
from import_pipeline.ratelimit.redis_client import ERRORS, ClusterClient, client_of
from import_pipeline.ratelimit.stores.redis_errors import store_error
from import_pipeline.ratelimit.tokens.protocol import Claim, StoredToken

COMMAND_SECONDS = 2.0
PREFIX = "import_pipeline:token"


class RedisTokens:
    """Tokens in a hash each. Thread-safe."""

    blocks = True

    def __init__(self, url: str, *, command_seconds: float = COMMAND_SECONDS) -> None:
        self._client = client_of(url, command_seconds)
        folder = files("import_pipeline.ratelimit.tokens").joinpath("lua")
        self._scripts = {
            name: self._client.register_script(folder.joinpath(f"{name}.lua").read_text())
            for name in ("claim", "put", "hold")
        }

    def claim(self, name: str, owner: str, seconds: float) -> Claim:
        """Return the stored token, and take the lock for that long unless another owner has it."""
        granted, wait, version, age, value = self._run("claim", name, owner, int(seconds * SECOND))
        stored = StoredToken(version=int(version), value=bytes(value), age=int(age) / SECOND) if value else None
        return Claim(stored=stored, is_granted=bool(granted), wait=int(wait) / SECOND)

    def put(self, name: str, owner: str, value: bytes, *, after: int, age: float) -> int | None:
        """Store the token that follows version `after`, and end the lock. Return its version.

        None: another process stored one meanwhile. It is as durable as Redis is: see `appendonly`.
        """
        return int(self._run("put", name, after, value, int(age * SECOND))) or None

    def hold(self, name: str, owner: str, seconds: float) -> None:
        """Let the owner's lock end in that many seconds; 0 ends it now."""
        self._run("hold", name, owner, int(seconds * SECOND))

    def _run(self, script: str, name: str, *arguments: str | int | bytes) -> Any:
        try:
            return self._scripts[script](keys=[f"{PREFIX}:{{{name}}}"], args=list(arguments))
        except ERRORS as error:
            if isinstance(error, RedisClusterException):
                self.close()
            raise store_error(error) from error

    def close(self) -> None:
        """Close all connections; the next call opens one again."""
        if isinstance(self._client, ClusterClient):
            self._client.close()
        else:
            self._client.connection_pool.disconnect()
