"""`import-pipeline run`: the imported items, the exit status, the state afterwards."""

import pytest

from import_pipeline_tests.acceptance.command_line import rows, stats, tracking, words
from import_pipeline_tests.support.forked_cli import serve

FIGURES = {
    "import_id",
    "source",
    "status",
    "items_count",
    "items_imported_count",
    "items_unchanged_count",
    "items_failed_count",
    "requests_count",
    "rate_limit_hits_count",
    "rate_limit_sleeps_count",
    "total_sleep_seconds",
    "duration_seconds",
    "active_seconds",
    "ideal_seconds",
    "ideal_ratio",
    "efficiency",
}
IMPORTED_TWICE = "SELECT external_id FROM imported_items GROUP BY external_id HAVING count(*) > 1"


@pytest.fixture(params=["embedded", "servers"])
def stores(request, home):
    """Settings of the stores, and the URL of the tracking database."""
    if request.param == "embedded":
        return {}, tracking(home)
    postgres = request.getfixturevalue("postgres_url")
    return {"DATABASE_URL": postgres, "REDIS_URL": request.getfixturevalue("redis_url")}, postgres


def test_an_import_from_nothing_ends_with_its_figures_and_a_second_one_makes_no_duplicates(command, stores):
    settings, database = stores
    with serve("--items", "12", "--limits", "10/1 second") as url:
        command.environment = {"ITEMS_BASE_URL": url, "ITEMS_LIMITS": "10/1 second", **settings}
        first = command.run("run", "items", "--json").json
        assert set(first) >= FIGURES
        assert (first["source"], first["status"]) == ("items", "completed")
        assert (first["items_count"], first["items_imported_count"], first["items_failed_count"]) == (12, 12, 0)
        assert (first["requests_count"], first["rate_limit_hits_count"]) == (13, 0)
        assert first["ideal_seconds"] == 1.0
        assert 1.0 <= first["duration_seconds"] < 5
        second = command.run("run", "items", "--json").json
        assert second["import_id"] != first["import_id"]
        assert second["items_imported_count"] + second["items_unchanged_count"] == 12
        assert (stats(url)["rate_limited"], stats(url)["admitted"] >= 14) == (0, True)
    assert rows(database, IMPORTED_TWICE) == []
    assert rows(database, "SELECT count(*) AS items FROM imported_items") == [{"items": 12}]


def test_bad_items_fail_with_their_reasons_and_all_others_are_imported(command):
    faults = ["3=status:422", "5=garbage", "7=hang", "9=status:500*2", "11=body:[1,2]"]
    options = [part for fault in faults for part in ("--fault", fault)]
    with serve("--items", "12", "--limits", "none", *options) as url:
        command.environment = {
            "ITEMS_BASE_URL": url,
            "ITEMS_TIMEOUT": "1",
            "ITEMS_TRIES": "3",
            "ITEMS_BACKOFF": "0.2",
        }
        ended = command.run("run", "items", "--json", status=3)
        people = command.run("show", "1")
        shown = command.run("show", "1", "--json").json
    summary = ended.json
    assert (summary["status"], summary["items_imported_count"], summary["items_failed_count"]) == ("completed", 8, 4)
    assert summary["duration_seconds"] < 10, "no wait is longer than the tries and their delays ask for"
    reasons = {failure["external_id"]: (failure["failure_count"], failure["reason"]) for failure in shown["failures"]}
    assert reasons["3"] == (1, "the API answers 422 Unprocessable Entity, expected 200 with a body")
    assert reasons["5"][1].startswith("ItemsSource.detail raises JSONDecodeError: ")
    assert reasons["7"] == (3, "no answer within 1 s")
    assert reasons["11"] == (1, "ItemsSource.detail raises ValueError: expected a JSON object, got list")
    assert set(reasons) == {"3", "5", "7", "11"}
    for _, reason in reasons.values():
        assert reason in words(people.out)
    assert "8 of 12 imported, 4 failed" in people.out
    assert ended.err == "", "log lines are there where IMPORT_PIPELINE_LOGS asks for them"


@pytest.mark.parametrize("trouble", ["no server listens", "the token is wrong", "the limiter store is down"])
def test_an_import_that_cannot_work_fails_with_its_reason(command, home, trouble):
    with serve("--items", "3", "--limits", "none", "--token", "the-right-one") as url:
        environment, reason = {
            "no server listens": (
                {"ITEMS_BASE_URL": "http://127.0.0.1:9"},
                "the API at http://127.0.0.1:9 cannot be reached: Cannot connect to host 127.0.0.1:9. "
                "Check its address (ITEMS_BASE_URL) and that it runs",
            ),
            "the token is wrong": (
                {"ITEMS_BASE_URL": url, "ITEMS_TOKEN": "a-wrong-one"},
                "list page 1: the API answers 401 Unauthorized: check the token (ITEMS_TOKEN)",
            ),
            "the limiter store is down": (
                {"ITEMS_BASE_URL": url, "REDIS_URL": "redis://127.0.0.1:9/0", "ITEMS_MAX_OUTAGE": "2"},
                "the rate-limit store of items does not answer, so nothing is sent: ",
            ),
        }[trouble]
        ended = command.run("run", "items", "--json", status=4, **environment)
    assert ended.sentence.startswith(f"items: import 1 failed: {reason}")
    assert ended.json["failure_reason"].startswith(reason)
    [row] = rows(tracking(home), "SELECT status, failure_reason FROM imports")
    assert (row["status"], row["failure_reason"]) == ("failed", ended.json["failure_reason"])


def test_a_token_is_found_nowhere(command, home):
    token = "t0p-secret-of-this-test"
    with serve("--items", "4", "--limits", "none", "--token", token, "--fault", "2=status:422") as url:
        said = [command.run("run", "items", status=3, ITEMS_BASE_URL=url, ITEMS_TOKEN=token)]
        said += [command.run("run", "items", "--json", status=4, ITEMS_BASE_URL=url, ITEMS_TOKEN=f"no-{token}")]
        said += [command.run("doctor", status=4, ITEMS_BASE_URL=url, ITEMS_TOKEN=f"no-{token}")]
        said += [command.run("show", "1", ITEMS_BASE_URL=url, ITEMS_TOKEN=token)]
    assert token not in "".join(ended.out + ended.err for ended in said)
    files = [path for path in home.rglob("*") if path.is_file()]
    assert {"import_pipeline.db", "limits.db", "runs.db"} <= {path.name for path in files}
    assert [path for path in files if token.encode() in path.read_bytes()] == []


def test_an_import_can_be_of_some_items_only(command, home):
    with serve("--items", "12", "--limits", "none") as url:
        command.environment = {"ITEMS_BASE_URL": url}
        limited = command.run("run", "items", "--limit", "5", "--json").json
        assert (limited["items_count"], limited["items_imported_count"]) == (5, 5)
        chosen = command.run("run", "items", "--only", " 3, 11,3 ", "--json").json
        assert (chosen["items_count"], chosen["items_imported_count"], chosen["requests_count"]) == (2, 2, 2)
        assert rows(tracking(home), "SELECT kind FROM imports ORDER BY id") == [{"kind": "full"}, {"kind": "selection"}]
        fresh = command.run("run", "items", "--fresh", "--yes", "--json").json
        assert (fresh["items_imported_count"], fresh["items_unchanged_count"]) == (12, 0)
        assert stats(url)["repeated_details"]["3"] == 3
    assert rows(tracking(home), "SELECT count(*) AS items FROM imported_items") == [{"items": 12}]
