"""Compiled statements that all engines of one kind share.

SQLAlchemy keeps them per engine. A daemon opens the database at each tick, and would compile each statement anew: the
most that a short tick or import costs.
"""

from collections.abc import Iterator, MutableMapping
from typing import Any

from sqlalchemy.util import LRUCache

#: Most statements of one kind of database. A statement takes about 20 kB; an import uses about 100.
CAPACITY = 1000


class Statements(MutableMapping[Any, Any]):
    """The `compiled_cache` of an engine: its keys name what compiling depends on in place of the engine's dialect."""

    def __init__(self) -> None:
        self._kept: LRUCache[Any, Any] = LRUCache(CAPACITY)

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the compiled statement, or the default."""
        return self._kept.get(_shared(key), default)

    def __getitem__(self, key: Any) -> Any:
        return self._kept[_shared(key)]

    def __setitem__(self, key: Any, compiled: Any) -> None:
        self._kept[_shared(key)] = compiled

    def __delitem__(self, key: Any) -> None:
        del self._kept[_shared(key)]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def _shared(key: Any) -> Any:
    """Replace the dialect, which a key starts with, by its class and by what it has read from its server."""
    dialect, *rest = key
    read = (dialect.server_version_info, getattr(dialect, "_backslash_escapes", None))
    return (type(dialect), *read, *rest)


#: One for all engines of this process.
STATEMENTS = Statements()
