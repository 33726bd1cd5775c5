"""The public names for Dagster: definitions of sources, and assets that follow completed imports.

`import_pipeline` itself does not import Dagster; this module does.
"""

from import_pipeline.defs.build import build_import_definitions, join_definitions
from import_pipeline.defs.components.rest_import import RestImport
from import_pipeline.defs.downstream import build_downstream_sensor, completed_imports
from import_pipeline.defs.io.rows import RowBatches
from import_pipeline.defs.resources import RateLimitedApiResource

__all__ = [
    "RateLimitedApiResource",
    "RestImport",
    "RowBatches",
    "build_downstream_sensor",
    "build_import_definitions",
    "completed_imports",
    "join_definitions",
]
