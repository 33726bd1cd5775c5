"""This project, without Dagster: `run_import` with 64 requests at once.

python ours.py URL FOLDER   (DATABASE_URL names another database than SQLite)
"""

import json
import os
import sys
from pathlib import Path

URL, FOLDER = sys.argv[1], Path(sys.argv[2])
sys.path[0] = str(Path(__file__).parents[2])
os.environ |= {
    "IMPORT_PIPELINE_HOME": str(FOLDER / "home"),
    "IMPORT_PIPELINE_SOURCES": "benchmarks.unlimited:SOURCES",
    "ITEMS_BASE_URL": URL,
    "ITEMS_CONCURRENCY": "64",
}

from sqlalchemy import select

from import_pipeline import run_import
from import_pipeline.settings import load_settings
from import_pipeline.sources.items import ImportedItem
from import_pipeline.tracking.database.engine import Database

run_import("items")
database = Database(load_settings().database_url)
with database.read() as connection, (FOLDER / "rows.jsonl").open("w") as rows:
    columns = select(ImportedItem.external_id, ImportedItem.name, ImportedItem.price)
    for external_id, name, price in connection.execute(columns):
        rows.write(json.dumps({"id": int(external_id), "name": name, "price": str(price)}) + "\n")
database.close()
