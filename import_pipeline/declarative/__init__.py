"""Sources in words instead of classes: `RestSource` in Python, the same words in YAML files."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from import_pipeline.declarative.paging import OnePage
    from import_pipeline.declarative.source import Column, RestSource

__all__ = ["Column", "OnePage", "RestSource"]

_HOMES = {"Column": "source", "OnePage": "paging", "RestSource": "source"}


def __getattr__(name: str) -> Any:
    """Import a name at its first use: imports of written classes need no model of the words, a tenth of their start."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
