"""A program for an environment with pandas, polars, pyarrow and duckdb: prints each library's view of the same rows.

It also runs the DuckDB example that is given by its path.
"""

import importlib.util
import json
import sys

import dagster as dg
import duckdb
import pandas
import polars
import pyarrow

from import_pipeline import Column, RestSource
from import_pipeline.dagster import build_import_definitions
from import_pipeline.sources.items import ItemsSource

TYPES = {
    "text": "name",
    "integer": "id",
    "numeric(12, 2)": "price",
    "numeric": "price",
    "float": "price",
    "boolean": "absent",
    "datetime": "updated_at",
    "date": "updated_at",
    "json": ".",
}
columns = {f"c{number}": Column(path, type_) for number, (type_, path) in enumerate(TYPES.items())}
every_type = RestSource(
    name="types",
    list="/api/items",
    items="data",
    pages={"type": "page_number", "size": "perPage", "last": "last_page"},
    detail="/api/items/{id}",
    columns=columns,
)
found = {}


@dg.asset
def in_pandas(enriched_types: pandas.DataFrame) -> None:
    """Record the types, and what a few values are."""
    found["pandas"] = [str(each) for each in enriched_types.dtypes[2:]]
    found["prices"] = str(enriched_types["c2"].sum())


@dg.asset
def in_polars(enriched_types: polars.DataFrame) -> None:
    """Record the types."""
    found["polars"] = [str(each) for each in enriched_types.dtypes[2:]]
    found["polars prices"] = str(enriched_types["c2"].sum())


@dg.asset
def in_lazy_polars(enriched_types: polars.LazyFrame) -> None:
    """Record the number of rows."""
    found["lazy"] = enriched_types.collect().height


@dg.asset
def in_arrow(enriched_types: pyarrow.Table) -> None:
    """Record the types, and the text of a JSON value."""
    found["arrow"] = [str(each) for each in enriched_types.schema.types[2:]]
    found["json"] = json.loads(enriched_types["c8"][0].as_py())["id"]


spec = importlib.util.spec_from_file_location("lake", sys.argv[1])
lake = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lake)
followers = [in_pandas, in_polars, in_lazy_polars, in_arrow, lake.lake]
definitions = dg.Definitions.merge(
    build_import_definitions(every_type),
    build_import_definitions(ItemsSource()),
    dg.Definitions(assets=followers, jobs=[dg.define_asset_job("follow", selection=followers)]),
)
with dg.DagsterInstance.ephemeral() as instance:
    for job in ("import_types", "import_items", "follow"):
        assert definitions.resolve_job_def(job).execute_in_process(instance=instance).success
found["parquet"] = duckdb.sql("SELECT count(*), count(price) FROM 'items.parquet'").fetchall()
sys.stdout.write(f"{json.dumps(found)}\n")
