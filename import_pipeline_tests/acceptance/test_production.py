"""Production on one machine: `up` with Postgres and Redis, as a role that may not change tables."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
import redis

from import_pipeline_tests.acceptance.command_line import (
    SCRIPT,
    CommandLine,
    answers,
    eventually,
    far_slot,
    free_port,
    processes_of,
    rows,
)
from import_pipeline_tests.support.database_servers import PASSWORD, PostgresServer

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture(scope="module")
def production_server():
    """A Postgres that postgres-roles.sql has prepared; roles belong to a whole server."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="module")
def owner_and_app(production_server):
    """The URLs of both roles, which the file creates."""
    psql = production_server.program("psql")
    passwords = [option for role in ("owner", "app") for option in ("-v", f"{role}_password={PASSWORD}-{role}")]
    where = production_server.url().replace("+psycopg2", "")
    command = [str(psql), *passwords, "-f", str(DEPLOY / "postgres-roles.sql"), where]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    at = f"127.0.0.1:{production_server.port}/import_pipeline"
    return [f"postgresql://import_pipeline_{role}:{PASSWORD}-{role}@{at}" for role in ("owner", "app")]


def psycopg2(url):
    return url.replace("postgresql://", "postgresql+psycopg2://")


@pytest.mark.nightly
@pytest.mark.timeout(300)
def test_up_runs_imports_on_postgres_and_redis_as_a_role_that_may_not_change_tables(
    command, home, owner_and_app, redis_url
):
    owner, app = owner_and_app
    command.environment = {"DAGSTER_HOME": str(DEPLOY), "REDIS_URL": redis_url, "DATABASE_URL": app}
    refused = command.run("migrate", status=2)
    assert "run `import-pipeline migrate` as a user that has it" in refused.sentence
    migrated = command.run("migrate", DATABASE_URL=owner)
    assert re.match(r"All tables in \S+ are up to date: tracking at \d{4}\.", migrated.out)
    assert PASSWORD not in migrated.out

    api, ui, panel = free_port(), free_port(), free_port()
    ports = {"SOURCE_API_PORT": str(api), "DAGSTER_PORT": str(ui), "PANEL_PORT": str(panel)}
    command.environment |= {**ports, "ITEMS_BASE_URL": f"http://127.0.0.1:{api}", "ITEMS_SLOTS": far_slot()}
    up = started(command, home)
    command.run("request", "items", "--reason", "the first")
    eventually(lambda: answers(f"http://127.0.0.1:{panel}/"), "the panel answers")
    eventually(lambda: imports(app) == ["completed", "scheduled"], "the daemon has run the import")
    assert rows(psycopg2(app), "SELECT count(*) AS items FROM imported_items") == [{"items": 400}]
    made = "SELECT count(*) AS items FROM items"
    eventually(lambda: rows(psycopg2(app), made) == [{"items": 400}], "the application's own rows have followed")
    assert answers(f"http://127.0.0.1:{ui}/")

    # The stores: two schema versions side by side in Postgres, permits in Redis, nothing in files.
    run = "SELECT status FROM import_pipeline_dagster.runs"
    eventually(lambda: rows(psycopg2(app), run) == [{"status": "SUCCESS"}] * 2, "both runs have ended well")
    versions = rows(
        psycopg2(app),
        "SELECT version_num FROM import_pipeline_version "
        "UNION SELECT version_num FROM import_pipeline_dagster.alembic_version",
    )
    assert len(versions) == 2
    with redis.Redis.from_url(redis_url) as client:
        assert {key.decode() for key in client.keys("import_pipeline*")} >= {"import_pipeline:{items}:api_state"}
    assert [path for path in home.rglob("*.db") if path.is_file()] == []
    assert not (DEPLOY / ".import_pipeline").exists()

    up.send_signal(signal.SIGINT)
    assert up.wait(60) == 0
    eventually(lambda: not processes_of(home), "every server has ended")


def started(command, home):
    """Start `up` with its output in a file: a full pipe would block the processes that write to it."""
    with (home.parent / "up.log").open("w") as said:
        return subprocess.Popen(
            [*SCRIPT, "up"],
            cwd=command.folder,
            env={**os.environ, **command.environment},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )


@pytest.fixture(autouse=True)
def nothing_left(home):
    """Leave no process behind."""
    yield
    for pid in processes_of(home):
        os.kill(pid, signal.SIGKILL)


def imports(url):
    return sorted(row["status"] for row in rows(psycopg2(url), "SELECT status FROM imports"))


def test_production_does_not_start_on_sqlite_by_mistake(folder, home):
    command = CommandLine(folder)
    result = command.run("doctor", "--json", status=4, DAGSTER_HOME=str(DEPLOY))
    [dagster] = [finding for finding in result.json["findings"] if finding["name"] == "Dagster"]
    assert dagster["message"] == (
        "DATABASE_URL: expected postgresql://…, since this dagster.yaml is for production, got SQLite"
    )
