"""The Dagster definitions of a source, and the tags and metadata of its runs."""

import re
from typing import Any


def definitions() -> dict[str, Any]:
    """Return the definitions of one source, and the sensor that follows its imports."""
    import dagster as dg

    from import_pipeline.defs import downstream
    from import_pipeline.defs.build import join_definitions
    from import_pipeline.sources.items import ItemsSource

    [build_sensor] = [each for name, each in vars(downstream).items() if re.fullmatch(r"build_\w+_sensor", name)]
    made = dg.asset(name="report")(lambda: None)
    after = build_sensor(ItemsSource(), made)
    joined = join_definitions([ItemsSource()])
    repository = joined.get_repository_def()
    assets = {spec.key.to_user_string(): _asset(spec) for spec in joined.resolve_all_asset_specs()}
    jobs = {job.name: _job(job) for job in repository.get_all_jobs() if not job.name.startswith("__")}
    return {
        "assets": dict(sorted(assets.items())),
        "asset checks": sorted(key.name for each in joined.assets or () for key in getattr(each, "check_keys", ())),
        "jobs": dict(sorted(jobs.items())),
        "schedules": {
            each.name: f"{each.cron_schedule} {each.execution_timezone}, {each.default_status.value}"
            for each in repository.schedule_defs
        },
        "sensors": {
            each.name: f"every {each.minimum_interval_seconds} s, {each.default_status.value}"
            for each in (*repository.sensor_defs, after)
        },
        "resources": sorted(repository.get_top_level_resources()),
    }


def _asset(spec: Any) -> dict[str, Any]:
    return {
        "group": spec.group_name,
        "kinds": sorted(spec.kinds),
        "tags": sorted(name for name in spec.tags if not name.startswith("dagster/kind/")),
        "metadata": sorted(spec.metadata),
        "partitions": getattr(spec.partitions_def, "name", None),
        "depends on": sorted(each.asset_key.to_user_string() for each in spec.deps),
    }


def _job(job: Any) -> dict[str, Any]:
    operations = {}
    for node in job.nodes:
        fields = getattr(node.definition.config_schema.config_type, "fields", {})
        operations[node.name] = sorted(fields)
    return {"tags": dict(sorted(job.tags.items())), "ops and their config": operations}


def run_events(settings: Any) -> dict[str, Any]:
    """Return the tags of all runs, and the metadata of their materializations and asset checks."""
    from import_pipeline.defs.instance import open_instance

    found: dict[str, set[str]] = {}
    with open_instance(settings) as instance:
        runs = instance.get_runs()
        tags = {name for run in runs for name in run.tags}
        for run in runs:
            for entry in instance.all_logs(run.run_id):
                event = entry.dagster_event
                data = event and (
                    getattr(event.event_specific_data, "materialization", None)
                    or (event.event_specific_data if event.event_type_value == "ASSET_CHECK_EVALUATION" else None)
                )
                if data is not None:
                    asset = event.asset_key.to_user_string() if event.asset_key else ""
                    kind = f"{event.event_type_value.lower()} {asset}{' of a partition' if event.partition else ''}"
                    name = getattr(data, "check_name", "")
                    found.setdefault(kind + name, set()).update(data.metadata)
    return {"tags of runs": sorted(tags), "metadata": {name: sorted(keys) for name, keys in sorted(found.items())}}
