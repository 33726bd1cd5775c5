"""What is told of a payload that cannot be read."""

import httpx

from import_pipeline.importer.work import Work
from import_pipeline.ratelimit import BodyRefused
from import_pipeline.settings import variable_prefix

#: What a source's own code raises when a payload is not what it expected.
BAD_PAYLOAD = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    httpx.InvalidURL,
)


def told(error: Exception) -> str:
    """An error of a source's own code, in words."""
    return f"{type(error).__name__}: {error}"


def refused(work: Work, error: BodyRefused) -> str:
    """Why a body was not read, and what would let it pass."""
    setting, source = f"{variable_prefix(work.source.name)}MAX_BODY", type(work.source).__name__
    return f"{error}. If that is right for this API, raise {setting} or {source}.max_depth"
