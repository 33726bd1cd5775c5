"""Dagster's own state: its storage classes, its schema on Postgres, and batches of events on SQLite.

`dagster.yaml` names the classes by this package.
"""

from import_pipeline.defs.storage.classes import ArtifactStorage, ComputeLogs, Storage

__all__ = ["ArtifactStorage", "ComputeLogs", "Storage"]
