"""Running an import's Dagster job in this process: the run, its logs and its events are in the UI afterwards."""

from collections.abc import Sequence

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.defs.build import join_definitions
from import_pipeline.defs.instance import open_instance
from import_pipeline.settings import Settings

#: Our own display speaks; Dagster's log lines go to its event log only.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def run_in_process(settings: Settings, sources: Sequence[ImportSource], source: str, import_id: int) -> str:
    """Carry the import out through its job and return the run's id. What came of it stands in the import's row."""
    definitions = join_definitions(sources)
    with open_instance(settings) as instance:
        result = definitions.resolve_job_def(names.job(source)).execute_in_process(
            instance=instance,
            tags={names.IMPORT_ID_TAG: str(import_id)},
            raise_on_error=False,
            run_config=QUIET,
        )
        return str(result.run_id)
