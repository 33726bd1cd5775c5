"""The endpoint that a request belongs to: the longest path prefix with limits of its own. No I/O."""

from collections.abc import Collection, Mapping


def endpoint_of(prefixes: Collection[str], path: str, base: str = "") -> str:
    """Return the longest of the prefixes that the path begins with, whole segments compared; empty if there is none.

    Prefixes count from the path of the base address, as a source writes them, or from the root.
    """
    if not prefixes:
        return ""
    below = path.removeprefix(base.rstrip("/")) if _begins(path, base.rstrip("/")) else path
    for each in (below, path):
        matching = [prefix for prefix in prefixes if prefix and _begins(each, prefix)]
        if matching:
            return max(matching, key=len)
    return ""


def _begins(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}/")


def shares(counts: Mapping[str, int]) -> dict[str, float]:
    """Return endpoint -> its share of all requests; all belong to the default before the first one."""
    total = sum(counts.values())
    return {endpoint: count / total for endpoint, count in counts.items() if count} if total else {"": 1.0}
