"""Turn sources into Dagster definitions. Nothing in this package knows a source by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.defs.all_sources.jobs import build_control_jobs
from import_pipeline.defs.all_sources.sensor import build_sensor_of_all
from import_pipeline.defs.assets import build_assets
from import_pipeline.defs.io.rows_manager import ImportedRows
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

#: With more listed sources than this, one sensor and one set of control jobs serve all of them.
MOST_SENSORS = 10


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """The definitions that each source has of its own, however many sources there are."""

    source: ImportSource
    assets: dg.AssetsDefinition
    jobs: Sequence[Any]  #: they run one import: its lead, and its shards
    resource: RateLimitedApiResource

    def definitions(self, *, jobs: Sequence[Any] = (), sensors: Sequence[Any] = ()) -> dg.Definitions:
        """Return the definitions, with further jobs and sensors."""
        return dg.Definitions(
            assets=[self.assets],
            jobs=[*self.jobs, *jobs],
            schedules=[build_schedule(self.source)],
            sensors=list(sensors),
            resources={
                names.resource(self.source.name): self.resource,
                names.rows(self.source.name): ImportedRows(self.source),
            },
            executor=dg.in_process_executor,
        )


def _parts_of(
    source: ImportSource, api: RateLimitedApiResource | None, settings: Settings, translator: Translator | None
) -> _Parts:
    source, assets = build_assets(source, links_of(settings), translator)
    job = dg.define_asset_job(
        names.job(source.name),
        selection=dg.AssetSelection.assets(keys.discovered(source), keys.enriched(source)),
        description=f"Import {source.name}: the list, then the details of every item.",
        executor_def=dg.in_process_executor,
        # Overrides run_retries of the instance: the sensor resumes unfinished imports itself.
        tags={names.IMPORT_SOURCE_TAG: source.name, names.MAX_RETRIES_TAG: "0"},
    )
    resource = api or RateLimitedApiResource()
    return _Parts(source=source, assets=assets, jobs=[job, build_shard_job(source, resource)], resource=resource)


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
    parts = _parts_of(source, api, settings or load_settings(), translator)
    control = [build(parts.source) for build in (build_request_job, build_cancel_job, build_retry_job)]
    return parts.definitions(jobs=control, sensors=[build_sensor(parts.source, parts.jobs)])


def join_definitions(
    sources: Sequence[ImportSource], settings: Settings | None = None, translator: Translator | None = None
) -> dg.Definitions:
    """Return the definitions of all sources, plus the tracking tables that they share.

    More than ten sources share one sensor and one set of control jobs, unless DAGSTER_SENSORS says otherwise.
    """
    settings = settings or load_settings()
    shared = dg.Definitions(assets=tracking_specs(links_of(settings)))
    is_one = settings.dagster_sensors == "one" if settings.dagster_sensors else len(sources) > MOST_SENSORS
    if not is_one:
        own = (build_import_definitions(each, settings=settings, translator=translator) for each in sources)
        return dg.Definitions.merge(*own, shared)
    parts = [_parts_of(source, None, settings, translator) for source in sources]
    theirs = [each.source for each in parts]
    sensor = build_sensor_of_all(theirs, [job for each in parts for job in each.jobs])
    control = dg.Definitions(jobs=build_control_jobs(theirs), sensors=[sensor])
    return dg.Definitions.merge(*(each.definitions() for each in parts), control, shared)
