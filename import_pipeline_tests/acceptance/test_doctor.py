"""`import-pipeline doctor` approves a healthy installation, and names the problems of another."""

import pytest

from import_pipeline_tests.support.forked_cli import serve


def test_doctor_approves_a_healthy_installation_and_notes_its_risks(command, postgres_url, redis_url):
    """The test's Redis persists nothing, its role is a superuser, and no daemon runs."""
    with serve("--items", "5", "--limits", "none") as url:
        result = command.run("doctor", ITEMS_BASE_URL=url, DATABASE_URL=postgres_url, REDIS_URL=redis_url)
    lines = [line.split(" ", 1) for line in result.out.splitlines()]
    named = [(mark, said.strip().partition(":")[0]) for mark, said in lines]
    assert named == [
        ("ok", "settings"),
        ("ok", "sources"),
        ("ok", "database"),
        ("note", "database"),
        ("ok", "limiter store"),
        ("note", "limiter store"),
        ("ok", "Dagster"),
        ("note", "Dagster"),
        ("ok", "disk"),
        ("ok", "panel"),
        ("ok", "source items"),
    ]
    assert f"source items: answers at {url}, 5 items, limits 500/20 second; 2000/100 second" in result.out
    assert "the role postgres is a superuser" in result.out
    assert "set appendonly to yes" in result.out
    assert "no Dagster daemon is running" in result.out
    assert "only-for-tests" not in result.out


def test_doctor_masks_secrets_and_no_name(command, postgres_server):
    """The setting of the refused token and the database's role stay readable, even if the password is the same word."""
    wrong = postgres_server.url(password="postgres")
    with serve("--items", "3", "--token", "the-right-one") as url:
        result = command.run("doctor", status=4, ITEMS_BASE_URL=url, ITEMS_TOKEN="a-wrong-one")
        refused_login = command.run("doctor", status=4, DATABASE_URL=wrong)
    assert "401 Unauthorized: check the token (ITEMS_TOKEN)" in result.out
    assert "a-wrong-one" not in result.out
    assert "postgresql+psycopg2://postgres:***@127.0.0.1" in refused_login.out
    assert 'password authentication failed for user "postgres"' in refused_login.out


@pytest.mark.parametrize(
    ("settings", "unhealthy"),
    [
        (
            {"SOURCE_API_PORT": "x"},
            {"settings": "SOURCE_API_PORT: expected a port", "all else": "not checked, because the settings"},
        ),
        (
            {"REDIS_URL": "redis://:passw0rd@127.0.0.1:9/0"},
            {
                "limiter store": "127.0.0.1:9",
                "source items": "not checked, because the limiter store does not work, see above",
            },
        ),
        (
            {"PANEL_HOST": "0.0.0.0", "ITEMS_BASE_URL": "http://127.0.0.1:9"},
            {"panel": "PANEL_TOKEN: expected a token", "source items": "cannot be reached"},
        ),
        (
            {"ITEMS_LIMITS": "5", "REDIS_URL": "redis://:passw0rd@127.0.0.1:9/0", "DAGSTER_HOME": "FOLDER"},
            {
                "sources": "ITEMS_LIMITS: expected tiers",
                "limiter store": "127.0.0.1:9",
                "Dagster": "is not what Dagster expects of it",
            },
        ),
        (
            {"DATABASE_URL": "postgresql://me:passw0rd@127.0.0.1:9/x", "IMPORT_PIPELINE_SOURCES": "mine:X"},
            {
                "sources": "no module 'mine' is found",
                "database": "Connection refused",
                "Dagster": "its storage is in the database",
            },
        ),
        ({"ITEMS_BASE_URL": "http://127.0.0.1:9"}, {"source items": "the API at http://127.0.0.1:9 cannot be reached"}),
    ],
)
def test_doctor_names_each_problem(command, folder, settings, unhealthy):
    if "DAGSTER_HOME" in settings:
        (folder / "dagster.yaml").write_text("storage: nonsense\n")
    given = {name: value.replace("FOLDER", str(folder)) for name, value in settings.items()}
    result = command.run("doctor", "--json", status=4, **given)
    assert result.json["healthy"] is False
    found = {finding["name"]: finding["message"] for finding in result.json["findings"] if not finding["ok"]}
    assert found.keys() == unhealthy.keys()
    for name, part in unhealthy.items():
        assert part in found[name]
    assert "passw0rd" not in result.out + result.err
    assert result.err == ""


@pytest.mark.parametrize("wrong", [{"PANEL_PORT": "x"}, {"ITEMS_PER_PAGE": "x"}])
def test_a_misspelled_setting_is_reported_beside_an_unreadable_one(command, wrong):
    result = command.run("doctor", status=4, **wrong, ITEMS_LIMTS="none")
    assert f"{next(iter(wrong))}: expected" in result.out
    assert "ITEMS_LIMTS is set, but there is no such setting. Did you mean ITEMS_LIMITS?" in result.out
