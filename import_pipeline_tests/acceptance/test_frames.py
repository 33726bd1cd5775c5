"""Rows as frames of pandas, polars and Arrow, and the examples with DuckDB and dbt, in environments that have them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from import_pipeline import run_import
from import_pipeline_tests.support.forked_cli import serve
from import_pipeline_tests.support.imports import settings as settings_of

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "downstream.md").read_text()


def blocks_with_names():
    """Return the blocks of the document that begin with a file's name, by that name."""
    found = re.findall(r"^```\w+\n(?:#|--) (\S+)\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    return dict(found)


def environment_with(folder, *packages):
    """Make an environment with those packages, and return its programs."""
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    python = str(folder / "bin" / "python")
    subprocess.run(["uv", "pip", "install", "--quiet", "--python", python, *packages], check=True)
    return folder / "bin"


def run(arguments, folder, **environment):
    done = subprocess.run(
        [str(each) for each in arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_each_library_sees_the_same_rows_with_types(folder, home, wheel, tmp_path):
    programs = environment_with(tmp_path / "frames", str(wheel), "pandas", "polars", "pyarrow", "duckdb")
    (folder / "lake.py").write_text(blocks_with_names()["lake.py"])
    program = ROOT / "import_pipeline_tests" / "support" / "frames_program.py"
    with serve("--items", "30", "--limits", "none") as url:
        addresses = {"TYPES_BASE_URL": url, "ITEMS_BASE_URL": url, "TYPES_LIMITS": "none", "ITEMS_LIMITS": "none"}
        printed = run([programs / "python", "-P", "-W", "ignore", program, folder / "lake.py"], folder, **addresses)
    found = json.loads(printed.splitlines()[-1])
    assert found["pandas"] == [
        "object",
        "Int64",
        "object",
        "object",
        "Float64",
        "boolean",
        "datetime64[us, UTC]",
        "object",
        "object",
    ]
    assert found["polars"] == [
        "String",
        "Int64",
        "Decimal(precision=12, scale=2)",
        "Decimal(precision=38, scale=12)",
        "Float64",
        "Boolean",
        "Datetime(time_unit='us', time_zone='UTC')",
        "Date",
        "String",
    ]
    assert found["arrow"] == [
        "string",
        "int64",
        "decimal128(12, 2)",
        "decimal128(38, 12)",
        "double",
        "bool",
        "timestamp[us, tz=UTC]",
        "date32[day]",
        "string",
    ]
    assert (found["lazy"], found["json"], found["parquet"]) == (30, 1, [[30, 30]])
    assert found["prices"] == found["polars prices"]


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_dbt_builds_a_model_from_the_imported_table(folder, home, postgres_url, tmp_path):
    programs = environment_with(tmp_path / "dbt", "dbt-core>=1.9,<1.11", "dbt-postgres>=1.9,<1.11")
    with serve("--items", "30", "--limits", "none") as url:
        run_import("items", settings=settings_of(home, url, DATABASE_URL=postgres_url))
    for name, text in blocks_with_names().items():
        if name.startswith("models/"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
    (folder / "dbt_project.yml").write_text('name: shop\nprofile: shop\nversion: "1.0"\n')
    location = make_url(postgres_url)
    target = {
        "type": "postgres",
        "host": location.host,
        "port": location.port,
        "user": location.username,
        "password": location.password,
        "dbname": location.database,
        "schema": "public",
        "threads": 1,
    }
    (folder / "profiles.yml").write_text(json.dumps({"shop": {"target": "dev", "outputs": {"dev": target}}}))
    printed = run([programs / "dbt", "run", "--profiles-dir", "."], folder, DBT_SEND_ANONYMOUS_USAGE_STATS="false")
    assert "Completed successfully" in printed
