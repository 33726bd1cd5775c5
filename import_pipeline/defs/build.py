"""Turn sources into Dagster definitions. Nothing in this package knows a source by name."""

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
from import_pipeline.defs.translation import keys
from import_pipeline.defs.translation.translator import Translator
from import_pipeline.settings import Settings, load_settings


def build_import_definitions(
    source: ImportSource,
    api: RateLimitedApiResource | None = None,
    settings: Settings | None = None,
    translator: Translator | None = None,
) -> dg.Definitions:
    """Return the assets, jobs, schedule, sensor and resource of one source.

    `settings` default to those of the environment. Values configured on the resource `api` override the settings.
    `translator` takes the spec of each asset and the source, and returns the spec to use: other keys, groups, tags.
    """
    source, assets = build_assets(source, links_of(settings or load_settings()), translator)
    job = dg.define_asset_job(
        names.job(source.name),
        selection=dg.AssetSelection.assets(keys.discovered(source), keys.enriched(source)),
        description=f"Import {source.name}: the list, then the details of every item.",
        executor_def=dg.in_process_executor,
        # Overrides run_retries of the instance: the sensor resumes unfinished imports itself.
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


def join_definitions(
    sources: Sequence[ImportSource], settings: Settings | None = None, translator: Translator | None = None
) -> dg.Definitions:
    """Return the definitions of all sources, plus the tracking tables that they share."""
    settings = settings or load_settings()
    return dg.Definitions.merge(
        *(build_import_definitions(source, settings=settings, translator=translator) for source in sources),
        dg.Definitions(assets=tracking_specs(links_of(settings))),
    )
