"""Lift the shared pause of an API by hand, once the API answers again."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import LimiterUnavailable
from import_pipeline.importer.installation import Installation
from import_pipeline.ratelimit import open_permits
from import_pipeline.ratelimit.endpoints import name_of_endpoint, parse_limits
from import_pipeline.ratelimit.lanes import LISTS
from import_pipeline.ratelimit.protocol import ExchangeRequest, StoreError, name_of_lane, windows_of
from import_pipeline.tracking import events, heartbeats

LIFTED = "pause_lifted"


@dataclass(frozen=True, kw_only=True)
class LiftedPause:
    """The result of lifting a pause."""

    api: str
    paused_until: datetime | None  #: the planned end of the pause; None if there was none
    imports: tuple[int, ...]  #: the running imports that no longer wait


def lift_pause(installation: Installation, source: ImportSource, *, by: str) -> LiftedPause:
    """End the pause of the source's API in the rate-limit store, and the wait of its running imports.

    Workers notice it within two seconds. One request probes the API first; if it is refused, all pause again. Raises
    LimiterUnavailable, DatabaseUnavailable.
    """
    now = installation.clock.now()
    left = _lift(installation, source)
    sharing = [each.name for each in installation.sources if each.api == source.api]

    def unit(connection: Connection) -> Mapping[int, datetime]:
        waiting = heartbeats.unblock(connection, sharing, now)
        for import_id in waiting:
            events.note(connection, import_id, now, LIFTED, f"{by} lifted the pause of the API; requests continue.")
        return waiting

    waiting = installation.transact(unit)
    until = now + left if left else max(waiting.values(), default=None)
    return LiftedPause(api=source.api, paused_until=until, imports=tuple(waiting))


def _lift(installation: Installation, source: ImportSource) -> timedelta:
    """Lift the pause in the store; return the time that was left of it."""
    settings, left = installation.settings, 0
    permits = open_permits(settings.redis_url, settings.limits_path)
    process = f"lift-{os.urandom(4).hex()}"
    try:
        for prefix, tiers in parse_limits(source.limits_text).items():
            name = name_of_endpoint(source.api, prefix)
            own = ExchangeRequest(api=name, process=process, tiers=windows_of(tiers), concurrent=tiers.concurrent)
            of_lists = ExchangeRequest(api=name_of_lane(name, LISTS), process=process, tiers=())
            left = max(left, permits.exchange(own).pause)
            for request in (own, of_lists):
                permits.exchange(replace(request, lift_pause=True))
    except StoreError as error:
        raise LimiterUnavailable(f"the pause of {source.api} cannot be lifted: {error}", said=str(error)) from error
    finally:
        permits.close()
    return timedelta(microseconds=left)
