"""What things are called in Dagster: everything comes from the source's name."""

IMPORT_SOURCE_TAG = "import_source"  #: one run per value at a time (dagster.yaml)
IMPORT_ID_TAG = "import_id"  #: the import that a run carries out
MADE_BY_TAG = "import_made_by"  #: the run that made that import; a re-execution of the run makes its own
IMPORT_SHARD_TAG = "import_shard"  #: the number of the shard that a run works as, from 2 on
FOREGROUND_TAG = "import_foreground"  #: a person waits for the run
COMPLETED_TAG = "completed_imports"  #: the imports that a run of what comes after them follows

MAX_RETRIES_TAG = "dagster/max_retries"  #: Dagster's own

#: The data version of every list; an asset without one counts as having this. A list that was read again makes no
#: item's details out of date: which of them are, `ImportSource.version` tells.
LIST_VERSION = "INITIAL"

IMPORTS = "imports"
ITEM_STATUSES = "import_item_statuses"


def discovered(source: str) -> str:
    """The asset of phase one."""
    return f"discovered_{source}"


def enriched(source: str) -> str:
    """The asset of phase two, partitioned by item or by bucket."""
    return f"enriched_{source}"


def materialization_tags(source: str, run_id: str) -> dict[str, str]:
    """The tags by which Dagster knows of what a run made a materialization; else it goes by what came last."""
    listed = discovered(source)
    return {
        "dagster/code_version": run_id,  # as Dagster itself puts it where the code has none
        f"dagster/input_data_version/{listed}": LIST_VERSION,
        f"dagster/input_event_pointer/{listed}": "NULL",
    }


def partitions(source: str, *, in_buckets: bool) -> str:
    """The dynamic partitions set of the enriched asset: its keys are items, or buckets of items."""
    return f"{source}_buckets" if in_buckets else source


def operation(source: str) -> str:
    """The op that computes both; a job may not bear the same name."""
    return f"discover_and_enrich_{source}"


def job(source: str) -> str:
    """The job of one import."""
    return f"import_{source}"


def shard_job(source: str) -> str:
    """The job of one more run at an import."""
    return f"enrich_{source}_shard"


def shard_operation(source: str) -> str:
    """The op of that job; a job may not bear the same name."""
    return f"enrich_{source}_as_shard"


def resource(source: str) -> str:
    """The source's API as a resource."""
    return f"{source}_api"


def schedule(source: str) -> str:
    """The schedule at the slots."""
    return f"{source}_slots"


def sensor(source: str) -> str:
    """The sensor that applies the rules."""
    return f"{source}_sensor"


def downstream_sensor(source: str) -> str:
    """The sensor that materializes what comes after an import."""
    return f"{source}_downstream_sensor"


def request_job(source: str) -> str:
    """The job that asks for an import."""
    return f"request_{source}_import"


def cancel_job(source: str) -> str:
    """The job that cancels the running import."""
    return f"cancel_{source}_import"


def retry_job(source: str) -> str:
    """The job that imports again what an import has left."""
    return f"retry_{source}_import"
