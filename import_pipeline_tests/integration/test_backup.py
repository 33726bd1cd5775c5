"""Backup and restore, by the very commands of docs/operations.md, with data of a real import, on both databases."""

import os
import re
import subprocess
import sys
from pathlib import Path

from import_pipeline import run_import
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.tables import tracking_metadata
from import_pipeline_tests.support.imports import counts, demo_api, rows, settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"


def commands():
    """The blocks of the section on backups: Postgres there and back, SQLite there and back."""
    section = DOCUMENT.read_text().partition("## Backup and restore")[2].partition("\n## ")[0]
    return re.findall(r"^```console\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def run_commands(block, folder, path=(), **environment):
    """Run the commands in that folder, as a person would."""
    found = {**os.environ, "PATH": os.pathsep.join([*path, str(Path(sys.executable).parent), os.environ["PATH"]])}
    done = subprocess.run(
        ["/bin/sh", "-ec", block],
        cwd=folder,
        env=found | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def everything(url):
    """Return all rows of the tracking tables."""
    database = Database(url)
    try:
        with database.read() as connection:
            return {
                table.name: [tuple(row) for row in connection.execute(table.select().order_by(*table.primary_key))]
                for table in tracking_metadata.sorted_tables
            }
    finally:
        database.close()


def check(configured, before, imported, restored):
    """Assert that all rows are restored, and that the next import continues from them."""
    assert everything(restored.database_url) == before
    assert rows(restored) == imported
    summary = run_import("items", settings=restored)
    assert counts(summary) == ("completed", 7, 0, 7, 0)
    assert len(everything(restored.database_url)["imports"]) == len(before["imports"]) + 1


def test_a_backup_on_sqlite_brings_everything_back(home, tmp_path):
    _, _, there, back = commands()
    with demo_api(items=7) as url:
        configured = settings(home, url)
        run_import("items", settings=configured)
        before, imported = everything(configured.database_url), rows(configured)
        run_commands(there, tmp_path, IMPORT_PIPELINE_HOME=str(home))
        for path in home.glob("import_pipeline.db*"):
            path.write_bytes(b"a disk that went bad")
        run_commands(back, tmp_path, IMPORT_PIPELINE_HOME=str(home))
        check(configured, before, imported, configured)


def test_a_backup_on_postgres_brings_everything_back(home, tmp_path, postgres_server):
    there, back, _, _ = commands()
    url, other = postgres_server.create_database(), postgres_server.create_database()
    programs = [str(postgres_server.program("pg_dump").parent)]
    given = {"DATABASE_URL": url.replace("+psycopg2", ""), "RESTORED_URL": other.replace("+psycopg2", "")}
    with demo_api(items=7) as api:
        configured = settings(home, api, DATABASE_URL=url)
        run_import("items", settings=configured)
        before, imported = everything(url), rows(configured)
        run_commands(there, tmp_path, programs, **given)
        postgres_server.drop_database(url)
        run_commands(back, tmp_path, programs, **given)
        check(configured, before, imported, settings(home, api, DATABASE_URL=other))
    postgres_server.drop_database(other)
