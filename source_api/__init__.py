"""The demo API: a paginated list, a detail per item, limits in tiers, and trouble on request.

It runs alone (`python -m source_api --help`), inside a test (`create_app(Options(...))`), or as a
process of its own beside one (`source_api.process.serve("--limits", "50/2 second")`).
"""

from source_api.app import create_app
from source_api.errors import BadOption, ConnectionDropped, SourceApiError
from source_api.options import Options

__all__ = ["BadOption", "ConnectionDropped", "Options", "SourceApiError", "create_app"]
