"""Sources in words instead of classes: `RestSource` in Python, the same words in YAML files."""

from import_pipeline.declarative.paging import OnePage
from import_pipeline.declarative.source import Column, RestSource

__all__ = ["Column", "OnePage", "RestSource"]
