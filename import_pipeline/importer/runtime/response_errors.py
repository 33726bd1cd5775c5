"""The reason of a body that was not read."""

from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.ratelimit import BodyRefused
from import_pipeline.settings import variable_prefix


def describe_refused_body(context: ImportContext, error: BodyRefused) -> str:
    """Why a body was not read, and what would let it pass."""
    setting, source = f"{variable_prefix(context.source.name)}MAX_BODY", type(context.source).__name__
    return f"{error}. If that is right for this API, raise {setting} or {source}.max_depth"
