"""Print the public face as YAML; with `--write`, store it."""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from import_pipeline_tests.support.public_face import STORED
from import_pipeline_tests.support.public_face.dagster_facts import definitions, run_events
from import_pipeline_tests.support.public_face.database_tables import tables
from import_pipeline_tests.support.public_face.json_outputs import printed
from import_pipeline_tests.support.public_face.panel_facts import panel
from import_pipeline_tests.support.public_face.python_names import actions, exports, signatures, templates
from import_pipeline_tests.support.public_face.settings_and_commands import commands, settings

#: Modules that documents import from, besides `import_pipeline` itself.
DOCUMENTED = (
    "contracts",
    "dagster",
    "defs.build",
    "defs.downstream",
    "definitions",
    "errors",
    "importer.installation",
    "ratelimit",
    "settings",
    "sources",
    "sources.items",
    "testing",
    "tracking.completions",
    "tracking.history",
)
#: One item of five is missing at the API: its import completes with a failed item.
API = ("--items", "5", "--limits", "none", "--fault", "3=status:422")
FAR = "04:30"


def public_face() -> dict[str, Any]:
    """Return the public face by area, as plain values."""
    with _prepared_folder() as folder:
        return {
            "settings": settings(),
            "exports": {"import_pipeline": exports("import_pipeline")}
            | {f"import_pipeline.{name}": exports(f"import_pipeline.{name}") for name in DOCUMENTED},
            "contracts": signatures(),
            "event actions": actions(),
            "tables": tables(),
            "commands": commands(),
            "dagster definitions": definitions(),
            "templates of new-source": templates(folder),
            **_in_use(),
        }


@contextlib.contextmanager
def _prepared_folder() -> Iterator[Path]:
    """Enter an empty folder, configured for imports from a demo API; yield the folder."""
    from source_api.process import serve

    with tempfile.TemporaryDirectory() as name, serve(*API) as url, contextlib.chdir(name):
        os.environ |= {
            "IMPORT_PIPELINE_HOME": f"{name}/home",
            "ITEMS_BASE_URL": url,
            "ITEMS_TRIES": "1",
            "ITEMS_LIMITS": "4/1 second",
            "ITEMS_SLOTS": FAR,
            "COLUMNS": "200",
        }
        yield Path(name)


def _in_use() -> dict[str, Any]:
    """Run every command; return the JSON keys, exit statuses and Dagster events, and the facts of the panel."""
    from import_pipeline.settings import load_settings

    outputs = printed()
    loaded = load_settings()
    return {
        "keys of --json": {name: keys for name, (keys, _) in outputs.items() if keys},
        "exit statuses": {name: status for name, (_, status) in outputs.items()},
        "dagster events": run_events(loaded),
        "panel": asyncio.run(panel(loaded)),
    }


def as_text(face: Mapping[str, Any]) -> str:
    """Return the face as YAML, the format of the stored file."""
    return yaml.safe_dump(json.loads(json.dumps(face)), sort_keys=False, width=120)


def main() -> None:
    """Print the face; with `--write`, store it."""
    warnings.simplefilter("ignore")
    text = as_text(public_face())
    if "--write" in sys.argv:
        STORED.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
