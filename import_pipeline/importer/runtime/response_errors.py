"""Reasons for responses that were not read."""

from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.ratelimit import BodyRefused
from import_pipeline.settings import variable_prefix


def describe_refused_body(context: ImportContext, error: BodyRefused) -> str:
    """Return the reason for a refused body, and the setting that would allow it."""
    setting, source = f"{variable_prefix(context.source.name)}MAX_BODY", type(context.source).__name__
    return f"{error}. If this is normal for this API, raise {setting} or {source}.max_depth"
