"""One of dlt's configurations in dlt_shapes/, loaded into DuckDB. It prints the number of rows.

python dlt_shape.py NAME URL FOLDER
"""

import json
import os
import runpy
import sys
from pathlib import Path

NAME, URL, FOLDER = sys.argv[1], sys.argv[2], Path(sys.argv[3])
os.environ |= {
    "EXTRACT__WORKERS": "10",
    "EXTRACT__MAX_PARALLEL_ITEMS": "40",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "DLT_DATA_DIR": str(FOLDER / "dlt"),
}

import dlt
import duckdb
from dlt.sources.rest_api import rest_api_source

config = runpy.run_path(str(Path(__file__).parent / "dlt_shapes" / f"{NAME}.py"))["CONFIG"]
source = rest_api_source(json.loads(json.dumps(config).replace("URL/", f"{URL}/").replace('"URL"', f'"{URL}"')))
pipeline = dlt.pipeline(NAME, destination=dlt.destinations.duckdb(str(FOLDER / "rows.duckdb")), dataset_name="api")
pipeline.run(source)
with duckdb.connect(str(FOLDER / "rows.duckdb"), read_only=True) as database:
    table = list(source.resources)[-1]
    [[rows]] = database.execute(f"SELECT count(*) FROM api.{table}").fetchall()  # noqa: S608 - a name of ours
print(rows)
