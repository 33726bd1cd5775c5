"""A source becomes Dagster definitions; nothing in here knows any source by name."""

from collections.abc import Sequence

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.defs.assets import build_assets
from import_pipeline.defs.jobs import build_cancel_job, build_request_job, build_retry_job
from import_pipeline.defs.links import links_of
from import_pipeline.defs.resources import RateLimitedApiResource
from import_pipeline.defs.schedules import build_schedule
from import_pipeline.defs.sensors import build_sensor
from import_pipeline.defs.shard_run import build_shard_job
from import_pipeline.defs.tracking_assets import tracking_specs
from import_pipeline.settings import Settings, load_settings


def build_import_definitions(
    source: ImportSource, api: RateLimitedApiResource | None = None, settings: Settings | None = None
) -> dg.Definitions:
    """The assets, their jobs, schedule, sensor and resource.

    The resource's configuration, where given, wins over the settings, which default to the environment's.
    """
    assets = build_assets(source, links_of(settings or load_settings()))
    job = dg.define_asset_job(
        names.job(source.name),
        selection=[names.discovered(source.name), names.enriched(source.name)],
        description=f"Import all of {source.name}: the list, then the details.",
        executor_def=dg.in_process_executor,
        # Dagster's own retries stay off, whatever an instance says: the sensor goes on with what is unfinished.
        tags={names.IMPORT_SOURCE_TAG: source.name, names.MAX_RETRIES_TAG: "0"},
    )
    resource = api or RateLimitedApiResource()
    shard_job = build_shard_job(source, resource)
    return dg.Definitions(
        assets=[assets],
        jobs=[job, shard_job, build_request_job(source), build_cancel_job(source), build_retry_job(source)],
        schedules=[build_schedule(source)],
        sensors=[build_sensor(source, [job, shard_job])],
        resources={names.resource(source.name): resource},
        executor=dg.in_process_executor,
    )


def join_definitions(sources: Sequence[ImportSource], settings: Settings | None = None) -> dg.Definitions:
    """The definitions of all sources, and the tracking tables that they share."""
    settings = settings or load_settings()
    return dg.Definitions.merge(
        *(build_import_definitions(source, settings=settings) for source in sources),
        dg.Definitions(assets=tracking_specs(links_of(settings))),
    )
