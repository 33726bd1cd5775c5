"""Dagster's storage stops answering just as a run begins."""

import psycopg2

from import_pipeline_tests.acceptance.command_line import rows
from import_pipeline_tests.support.forked_cli import serve


def test_a_storage_that_stops_answering_as_a_run_starts_is_reported_in_one_sentence(command, postgres_url):
    """Dagster's table of runs is locked and the timeout is short; the tracking tables answer."""
    plain = postgres_url.replace("+psycopg2", "")
    with serve("--items", "5", "--limits", "none") as url:
        command.environment = {"ITEMS_BASE_URL": url, "DATABASE_URL": plain, "PGOPTIONS": "-c lock_timeout=300ms"}
        command.run("run", "items")
        with psycopg2.connect(plain) as connection, connection.cursor() as cursor:
            cursor.execute("LOCK TABLE import_pipeline_dagster.runs IN ACCESS EXCLUSIVE MODE")
            ended = command.run("run", "items", status=4)
        connection.close()
        assert ended.sentence.startswith("Dagster's storage in postgresql+psycopg2://postgres:***@127.0.0.1")
        assert ended.sentence.endswith("canceling statement due to lock timeout. Check DATABASE_URL and the server")
        assert command.run("run", "items", "--json").json["status"] == "completed"
    statuses = [row["status"] for row in rows(postgres_url, "SELECT status FROM imports ORDER BY id")]
    assert statuses == ["completed", "completed"]
