"""This project: the example sources of a shape, without Dagster. It prints the number of rows of the last one.

python our_shape.py MODULE URL FOLDER LIMITS PAGE SOURCE ...
"""

import os
import sys
from pathlib import Path

MODULE, URL, FOLDER, LIMITS, PAGE, *SOURCES = sys.argv[1:]
sys.path[0] = str(Path(__file__).parents[2])
os.environ |= {
    "IMPORT_PIPELINE_HOME": str(Path(FOLDER) / "home"),
    "IMPORT_PIPELINE_SOURCES": f"import_pipeline.examples.shapes.{MODULE}:SOURCES",
}
for source in SOURCES:
    values = {"BASE_URL": URL, "TOKEN": "shape-token", "LIMITS": LIMITS, "PER_PAGE": PAGE}
    values |= {"CLIENT_ID": "shape-client", "CLIENT_SECRET": "shape-secret", "REFRESH_TOKEN": "refresh-0"}
    os.environ |= {f"{source.upper()}_{name}": value for name, value in values.items()}

from import_pipeline import run_import

for source in SOURCES:
    summary = run_import(source)
print(summary.items_count)
