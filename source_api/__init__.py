"""The demo API: a paginated list, a detail per item, rate limits in tiers, and faults on request.

It runs alone (`python -m source_api --help`), inside a test (`create_app(Options(...))`), or as a separate process
beside a test (`source_api.process.serve("--limits", "50/2 second")`).
"""

from source_api.app import create_app
from source_api.errors import BadOption, ConnectionDropped, SourceApiError
from source_api.options import Options

__all__ = ["BadOption", "ConnectionDropped", "Options", "SourceApiError", "create_app"]
