"""dlt: its rest_api source with a parallelized detail resource and 10 workers, into DuckDB.

python dlt_items.py URL FOLDER
"""

import json
import os
import sys
from pathlib import Path

URL, FOLDER = sys.argv[1], Path(sys.argv[2])
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

source = rest_api_source(
    {
        "client": {
            "base_url": f"{URL}/api/",
            "paginator": {"type": "page_number", "base_page": 1, "total_path": "last_page"},
        },
        "resources": [
            {"name": "listed", "endpoint": {"path": "items", "params": {"perPage": 100}, "data_selector": "data"}},
            {
                "name": "items",
                "primary_key": "id",
                "write_disposition": "merge",
                "parallelized": True,
                "endpoint": {"path": "items/{resources.listed.id}", "data_selector": "$", "paginator": "single_page"},
            },
        ],
    }
).with_resources("listed", "items")
pipeline = dlt.pipeline("items", destination=dlt.destinations.duckdb(str(FOLDER / "items.duckdb")), dataset_name="api")
pipeline.run(source)
with (
    duckdb.connect(str(FOLDER / "items.duckdb"), read_only=True) as database,
    (FOLDER / "rows.jsonl").open("w") as rows,
):
    found = database.execute("SELECT id, name, price FROM api.items").fetchall()
    rows.writelines(json.dumps({"id": row[0], "name": row[1], "price": row[2]}) + "\n" for row in found)
