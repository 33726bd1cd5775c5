"""What things are called in Dagster: everything comes from the source's name."""

IMPORT_SOURCE_TAG = "import_source"  #: one run per value at a time (dagster.yaml)
IMPORT_ID_TAG = "import_id"  #: the import that a run carries out

IMPORTS = "imports"
ITEM_STATUSES = "import_item_statuses"


def discovered(source: str) -> str:
    """The asset of phase one."""
    return f"discovered_{source}"


def enriched(source: str) -> str:
    """The asset of phase two, partitioned by item."""
    return f"enriched_{source}"


def operation(source: str) -> str:
    """The op that computes both; a job may not bear the same name."""
    return f"discover_and_enrich_{source}"


def job(source: str) -> str:
    """The job of one import."""
    return f"import_{source}"


def resource(source: str) -> str:
    """The source's API as a resource."""
    return f"{source}_api"
