"""Shared rate limits: permits from one store for all processes, as an httpx transport.

async with Limiter("my-api", parse_tiers("500/20 second"), open_permits(None, Path("limits.db"))) as limiter:
    async with httpx.AsyncClient(transport=RateLimitedTransport(httpx.AsyncHTTPTransport(), limiter)) as client:
        ...
"""

from import_pipeline.ratelimit.client.wait_queue import Permit
from import_pipeline.ratelimit.http.body import BodyRefused
from import_pipeline.ratelimit.http.meaning import ACTION
from import_pipeline.ratelimit.http.transport import SECONDS, RateLimitedTransport
from import_pipeline.ratelimit.limiter import Limiter
from import_pipeline.ratelimit.protocol import PermitStore
from import_pipeline.ratelimit.stores.open import open_permits
from import_pipeline.ratelimit.tiers import parse_tiers
from import_pipeline.ratelimit.usage import TierUsage, Usage

#: The former name of PermitStore.
Permits = PermitStore

__all__ = [
    "ACTION",
    "SECONDS",
    "BodyRefused",
    "Limiter",
    "Permit",
    "PermitStore",
    "Permits",
    "RateLimitedTransport",
    "TierUsage",
    "Usage",
    "open_permits",
    "parse_tiers",
]
