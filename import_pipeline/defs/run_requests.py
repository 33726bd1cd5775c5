"""Run requests of a source's schedule and sensor.

Both apply the same scheduling rules. The one that claims an import first requests its run.
"""

from collections.abc import Iterator
from datetime import datetime

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.defs.run_status import is_queued, report_dead_run, requested_run, run_state
from import_pipeline.defs.storage.event_retention import drop_by_age
from import_pipeline.importer.control.cancellation import end_cancelled
from import_pipeline.importer.control.deletion import prune_by_age
from import_pipeline.importer.control.scheduling import Tick, tick
from import_pipeline.importer.control.shard_supervisor import supervise_shards
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.notifications import send_notices


def run_requests(
    installation: Installation,
    source: ImportSource,
    context: dg.ScheduleEvaluationContext | dg.SensorEvaluationContext,
    *,
    schedule_is_on: bool,
    on_since: datetime | None = None,
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Yield a run request for each import to start or resume, else one skip reason.

    The UI shows no skip reason for a tick that requests runs, so the reasons go to its log. Other ticks log nothing:
    their logs would fill the disk.
    """
    instance = context.instance
    result = tick(
        installation,
        source,
        schedule_is_on=schedule_is_on,
        on_since=on_since,
        run_state_of=lambda run_id: run_state(instance, run_id),
        requested_run=lambda import_id, since: requested_run(instance, names.job(source.name), import_id, since),
    )
    result.dead_run_ids += end_cancelled(installation, source.name)
    if not result.launches:  # housekeeping only while no import waits for its run
        send_notices(installation, source)
        prune_by_age(installation, source)
        drop_by_age(instance, source, installation.clock.now())
    _report_dead_runs(instance, result)
    if result.launches:
        for sentence in result.sentences:
            context.log.info(sentence)
    for launch in result.launches:
        yield dg.RunRequest(job_name=names.job(source.name), tags={names.IMPORT_ID_TAG: str(launch.import_id)})
    if not result.launches:
        yield dg.SkipReason(" ".join(result.sentences))


def shard_run_requests(
    installation: Installation, source: ImportSource, instance: dg.DagsterInstance
) -> Iterator[dg.RunRequest]:
    """Yield a run request for each shard to start or restart."""
    result = supervise_shards(
        installation, source, lambda import_id, number: is_queued(instance, _shard_tags(import_id, number))
    )
    for run_id in result.dead_run_ids:
        report_dead_run(instance, run_id, "Its worker is dead; other runs took over its items.")
    for launch in result.launches:
        yield dg.RunRequest(job_name=names.shard_job(source.name), tags=_shard_tags(launch.import_id, launch.number))


def _shard_tags(import_id: int, number: int) -> dict[str, str]:
    return {names.IMPORT_ID_TAG: str(import_id), names.IMPORT_SHARD_TAG: str(number)}


def _report_dead_runs(instance: dg.DagsterInstance, result: Tick) -> None:
    """Report runs without a worker as failed: until then they keep their slots in the queue."""
    for launch in result.launches:
        if launch.dead_run_id:
            report_dead_run(instance, launch.dead_run_id, launch.reason)
    for run_id in result.dead_run_ids:
        report_dead_run(instance, run_id, "Its worker is dead, and its import has ended.")
