"""Names of Dagster objects and tags, all derived from the source's name."""

IMPORT_SOURCE_TAG = "import_source"  #: dagster.yaml allows one run per value at a time
IMPORT_ID_TAG = "import_id"  #: the import that a run executes
MADE_BY_TAG = "import_made_by"  #: the run that created that import; a re-execution creates another one
IMPORT_SHARD_TAG = "import_shard"  #: the number of the shard that a run executes, from 2
FOREGROUND_TAG = "import_foreground"  #: a command waits for the run
COMPLETED_TAG = "completed_imports"  #: the imports that a run of downstream assets processes

#: Objects that serve all sources, if there are many; otherwise each source has its own.
SENSOR_OF_ALL = "imports_sensor"
REQUEST_JOB, CANCEL_JOB, RETRY_JOB = "request_import", "cancel_import", "retry_import"

MAX_RETRIES_TAG = "dagster/max_retries"  #: Dagster's own
RETRY_NUMBER_TAG = "dagster/retry_number"  #: Dagster's own: on runs that it repeats by itself
PARENT_RUN_TAG = "dagster/parent_run_id"  #: Dagster's own: on re-executions

#: The data version of every list, which is Dagster's default. Reading a list again must not mark the details of its
#: items as out of sync; `ImportSource.version` decides which details are fetched again.
LIST_VERSION = "INITIAL"

IMPORTS = "imports"
ITEM_STATUSES = "import_item_statuses"


def enriched(source: str) -> str:
    """Return the asset of phase two: the details, partitioned by item or by bucket."""
    return f"enriched_{source}"


def partitions(source: str, *, in_buckets: bool) -> str:
    """Return the name of the enriched asset's dynamic partitions. Their keys are items, or buckets of items."""
    return f"{source}_buckets" if in_buckets else source


def operation(source: str) -> str:
    """Return the op that computes both assets. A job must not have the same name."""
    return f"discover_and_enrich_{source}"


def job(source: str) -> str:
    """Return the job that runs one import."""
    return f"import_{source}"


def shard_job(source: str) -> str:
    """Return the job of a further worker on a running import."""
    return f"enrich_{source}_shard"


def shard_operation(source: str) -> str:
    """Return the op of the shard job. A job must not have the same name."""
    return f"enrich_{source}_as_shard"


def resource(source: str) -> str:
    """Return the resource that is the source's API."""
    return f"{source}_api"


def rows(source: str) -> str:
    """Return the IO manager that gives the source's rows to downstream assets."""
    return f"{source}_rows"


def schedule(source: str) -> str:
    """Return the schedule that ticks at the slots."""
    return f"{source}_slots"


def sensor(source: str) -> str:
    """Return the sensor that applies the scheduling rules."""
    return f"{source}_sensor"


def downstream_sensor(source: str) -> str:
    """Return the sensor that materializes downstream assets after an import."""
    return f"{source}_downstream_sensor"


def request_job(source: str) -> str:
    """Return the job that requests an import."""
    return f"request_{source}_import"


def cancel_job(source: str) -> str:
    """Return the job that cancels the running import."""
    return f"cancel_{source}_import"


def retry_job(source: str) -> str:
    """Return the job that imports failed and undone items again."""
    return f"retry_{source}_import"
