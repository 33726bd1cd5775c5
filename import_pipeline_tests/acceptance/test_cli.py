"""`import-pipeline` as its users meet it: what it says, what it ends with, what it leaves behind."""

import re
import signal
from datetime import datetime

import pytest

from import_pipeline_tests.acceptance.outside import eventually, rows, some_details, stats, tracking, words
from import_pipeline_tests.loaded import serve

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


#: An import of these items takes five seconds, with a handful of requests in flight at any time.
PACE = "6/1 second"
ITEMS = 30


def slow_api():
    """An API that takes its time to answer."""
    return serve("--items", str(ITEMS), "--limits", "none", "--delay-after", "150")


@pytest.fixture(params=["embedded", "servers"])
def stores(request, home):
    """Settings of the stores, and the address of the tracking database."""
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


def test_a_second_command_names_the_running_import_and_ends_at_once(command, home):
    with slow_api() as url:
        command.environment = {"ITEMS_BASE_URL": url, "ITEMS_LIMITS": PACE}
        first = command.start("run", "items", "--json")
        some_details(url, 1)
        second = command.run("run", "items", "--json", status=4)
        assert first.is_running
        running = rows(tracking(home), "SELECT * FROM imports")
        assert len(running) == 1, "a refused command leaves no import behind"
        since = datetime.fromisoformat(running[0]["started_at"]).strftime("%Y-%m-%d %H:%M:%S")
        assert f"import 1 is running since {since} UTC" in second.sentence
        assert f"Dagster run {running[0]['dagster_run_id']}" in second.sentence
        assert second.out == ""
        assert first.end().json["items_imported_count"] == ITEMS
        assert stats(url)["repeated_details"] == {}


def test_of_two_commands_given_at_the_same_moment_one_imports(command):
    with slow_api() as url:
        command.environment = {"ITEMS_BASE_URL": url, "ITEMS_LIMITS": PACE}
        both = [command.start("run", "items", "--json") for _ in range(2)]
        ended = sorted((each.end() for each in both), key=lambda each: each.status)
        assert [each.status for each in ended] == [0, 4]
        assert re.search(r"import \d+ is running since .* in Dagster run [0-9a-f-]{36}", ended[1].sentence)
        assert stats(url)["repeated_details"] == {}
        assert ended[0].json["items_imported_count"] == ITEMS


def test_bad_items_fail_with_their_reasons_and_all_others_are_imported(command):
    faults = ["3=status:404", "5=garbage", "7=hang", "9=status:500*2", "11=body:[1,2]"]
    options = [part for fault in faults for part in ("--fault", fault)]
    with serve("--items", "12", "--limits", "none", *options) as url:
        command.environment = {
            "ITEMS_BASE_URL": url,
            "ITEMS_TIMEOUT": "0.5",
            "ITEMS_TRIES": "3",
            "ITEMS_BACKOFF": "0.2",
        }
        summary = command.run("run", "items", "--json", status=3).json
        people = command.run("show", "1")
        shown = command.run("show", "1", "--json").json
    assert (summary["status"], summary["items_imported_count"], summary["items_failed_count"]) == ("completed", 8, 4)
    assert summary["duration_seconds"] < 6, "no wait is longer than the tries and their delays ask for"
    reasons = {failure["external_id"]: (failure["failure_count"], failure["reason"]) for failure in shown["failures"]}
    assert reasons["3"] == (1, "the API answers 404 Not Found: it has no such item (anymore)")
    assert reasons["5"][1].startswith("the detail's body is not what was expected: ")
    assert reasons["7"] == (3, "no answer within 0.5 s")
    assert reasons["11"] == (1, "the detail's body is not what was expected: expected a JSON object, got list")
    assert set(reasons) == {"3", "5", "7", "11"}
    for _, reason in reasons.values():
        assert reason in words(people.out)
    assert "8 of 12 imported, 4 failed" in people.out


def repeated_requests(url):
    """Requests for items that had been asked for before."""
    return sum(times - 1 for times in stats(url)["repeated_details"].values())


def test_after_a_kill_the_next_run_goes_on_with_the_same_import(command, home):
    with slow_api() as url:
        command.environment = {"ITEMS_BASE_URL": url, "ITEMS_LIMITS": PACE}
        killed = command.start("run", "items", "--json")
        some_details(url, 12)
        killed.signal(signal.SIGKILL)
        killed.end()
        in_flight = stats(url)["peak_concurrency"]
        dead_run = rows(tracking(home), "SELECT dagster_run_id FROM imports")[0]["dagster_run_id"]
        assert "1 of items: running" in command.run("show", "1").out
        resumed = command.run("run", "items", "--json")
        assert "Import 1 of items was left behind by its process: going on with it." in resumed.err
        assert (resumed.json["import_id"], resumed.json["status"]) == (1, "completed")
        assert resumed.json["items_imported_count"] == ITEMS
        assert repeated_requests(url) <= in_flight <= 6
    shown = command.run("show", "1", "--json").json
    assert shown["resumes"] == 1
    assert [event["action"] for event in shown["events"]] == ["import_started", "import_resumed", "import_completed"]
    runs = f"sqlite:///{home / 'dagster' / 'storage' / 'history' / 'runs.db'}"
    statuses = {row["run_id"]: row["status"] for row in rows(runs, "SELECT run_id, status FROM runs")}
    assert statuses == {dead_run: "FAILURE", shown["dagster_run_id"]: "SUCCESS"}


def test_an_interrupt_keeps_the_import_for_the_next_run(command):
    with slow_api() as url:
        command.environment = {"ITEMS_BASE_URL": url, "ITEMS_LIMITS": PACE}
        interrupted = command.start("run", "items")
        some_details(url, 6)
        interrupted.signal(signal.SIGINT)
        ended = interrupted.end()
        assert ended.status == 130
        assert ended.err.endswith(
            "import-pipeline: items: import 1 was interrupted. What is done is kept, and the next run goes on with it\n"
        )
        assert "none: `import-pipeline run items` goes on with it" in command.run("show", "1").out
        resumed = command.run("run", "items", "--json").json
        assert (resumed["import_id"], resumed["status"], resumed["items_imported_count"]) == (1, "completed", ITEMS)
        assert repeated_requests(url) == 0, "what is in flight is waited for"


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("ITEMS_LIMITS", "500/20", "ITEMS_LIMITS: expected tiers of up to a year such as '500/20 second; "),
        ("ITEMS_LIMITS", "1/99999999999 day", "ITEMS_LIMITS: expected tiers of up to a year such as '500/20 second; "),
        (
            "ITEMS_BASE_URL",
            "http://me:secret@host?x=1",
            "ITEMS_BASE_URL: expected an address such as https://api.example",
        ),
        ("ITEMS_BASE_URL", "example.com", "ITEMS_BASE_URL: expected an address such as https://api.example.com"),
        ("ITEMS_CONCURRENCY", "0", "ITEMS_CONCURRENCY: expected a whole number from 1 to 1000, got '0'"),
        ("ITEMS_TIMEOUT", "soon", "ITEMS_TIMEOUT: expected seconds above 0, got 'soon'"),
        ("ITEMS_BACKOFF", "1,x", "ITEMS_BACKOFF: expected seconds separated by commas"),
        ("ITEMS_OVERLAP", "perhaps", "ITEMS_OVERLAP: expected true or false, got 'perhaps'"),
        ("REDIS_URL", "http://localhost", "REDIS_URL: expected redis://"),
        ("DATABASE_URL", "mysql://u:secret@host/x", "DATABASE_URL: expected postgresql://user:password@host/name or"),
        ("DAGSTER_PORT", "70000", "DAGSTER_PORT: expected a port from 1 to 65535, got '70000'"),
        ("DAGSTER_HOME", "not/there", "DAGSTER_HOME: expected the whole path of the folder"),
        ("IMPORT_PIPELINE_SOURCES", "nonsense", "IMPORT_PIPELINE_SOURCES: expected module:NAME"),
    ],
)
def test_a_bad_setting_is_named_with_what_was_expected(command, home, setting, value, sentence):
    ended = command.run("run", "items", "--json", status=2, **{setting: value})
    assert ended.sentence.startswith(sentence)
    assert "secret" not in ended.err
    assert ended.out == ""
    if setting != "DAGSTER_HOME":
        assert not home.exists(), "nothing is made before the settings are right"


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (None, "no module 'mine' is found from"),
        ("", "the module mine has no SOURCES"),
        ("SOURCES = 7", "expected a list of ImportSource instances, got int"),
        ("SOURCES = ['x']", "expected an instance of ImportSource, got str"),
        ("\nSOURCES = [1 +", "cannot be imported: SyntaxError: '[' was never closed (FILE, line 2)"),
        ("import not_there", "cannot be imported: ModuleNotFoundError: No module named 'not_there' (FILE, line 1)"),
        ("\n\n1 / 0", "cannot be imported: ZeroDivisionError: division by zero (FILE, line 3)"),
        ("import json\njson.loads('{')", "cannot be imported: JSONDecodeError: "),
    ],
)
def test_a_broken_list_of_sources_is_told_with_its_place(command, folder, file, sentence):
    if file is not None:
        (folder / "mine.py").write_text(file)
    ended = command.run("run", "items", status=2, IMPORT_PIPELINE_SOURCES="mine:SOURCES")
    assert sentence.replace("FILE", str(folder / "mine.py")) in ended.sentence
    if "json" in (file or ""):
        assert ended.sentence.endswith(f"({folder / 'mine.py'}, line 2)")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "nope"], "nope: no such source; known are: items"),
        (["plan", "nope"], "nope: no such source; known are: items"),
        (["show", "99"], "import 99: there is none of this id; `import-pipeline list` shows those there are"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(command, arguments, sentence):
    assert command.run(*arguments, status=2).sentence == sentence


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "items", "--only", ","], "--only: expected ids separated by commas, got none"),
        (["run", "items", "--only", "3", "--limit", "2"], "--only cannot be given together with --limit or --fresh"),
        (
            ["run", "items", "--fresh"],
            "Delete all rows of the table imported_items, and import them anew? Nobody can be",
        ),
        (["request", "items", "--fresh"], "import them anew? Nobody can be asked here: say --yes"),
        (["request", "itmes", "--fresh"], "itmes: no such source; known are: items"),
        (["prune", "--days", "3"], "Nobody can be asked here: say --yes"),
        (["cancel", "9"], "import 9: there is none of this id"),
        (["delete", "9"], "import 9: there is none of this id"),
        (["run", "items", "--limit", "0"], "0 is not in the range x>=1"),
        (["show", "9" * 30], "is not in the range"),
    ],
)
def test_bad_usage_is_refused_before_anything_is_done(command, arguments, sentence):
    ended = command.run(*arguments, status=2)
    assert sentence in ended.err
    assert ended.out == ""


@pytest.mark.parametrize("trouble", ["nobody listens", "the token is wrong", "the limiter store is down"])
def test_an_import_that_cannot_work_fails_with_its_reason(command, home, trouble):
    with serve("--items", "3", "--limits", "none", "--token", "the-right-one") as url:
        environment, reason = {
            "nobody listens": (
                {"ITEMS_BASE_URL": "http://127.0.0.1:9"},
                "the API at http://127.0.0.1:9 cannot be reached: Cannot connect to host 127.0.0.1:9. "
                "Check its address (ITEMS_BASE_URL) and that it runs",
            ),
            "the token is wrong": (
                {"ITEMS_BASE_URL": url, "ITEMS_TOKEN": "a-wrong-one"},
                "list page 1: the API answers 401 Unauthorized: check the token (ITEMS_TOKEN)",
            ),
            "the limiter store is down": (
                {"ITEMS_BASE_URL": url, "REDIS_URL": "redis://127.0.0.1:9/0"},
                "the limits of items cannot be shared, so nothing is sent: ",
            ),
        }[trouble]
        ended = command.run("run", "items", "--json", status=4, **environment)
    assert ended.sentence.startswith(f"items: import 1 failed: {reason}")
    assert ended.json["failure_reason"].startswith(reason)
    [row] = rows(tracking(home), "SELECT status, failure_reason FROM imports")
    assert (row["status"], row["failure_reason"]) == ("failed", ended.json["failure_reason"])


def test_a_database_that_does_not_answer_is_told_without_its_password(command, postgres_server):
    wrong_password = command.run("list", status=4, DATABASE_URL=postgres_server.url(password="wr0ng-secret"))
    assert 'password authentication failed for user "postgres"' in wrong_password.sentence
    nobody = command.run("run", "items", status=4, DATABASE_URL="postgresql://me:wr0ng-secret@127.0.0.1:9/x")
    assert "Connection refused" in nobody.sentence
    assert nobody.sentence.endswith("Check DATABASE_URL and the server")
    assert "wr0ng" not in nobody.err + wrong_password.err


def test_a_token_is_found_nowhere(command, home):
    token = "t0p-secret-of-this-test"
    with serve("--items", "4", "--limits", "none", "--token", token, "--fault", "2=status:404") as url:
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


def test_lists_and_plans_are_printed_for_people_and_for_programs(command):
    assert command.run("list").out == "No imports. Start one with: import-pipeline run items\n"
    assert command.run("list", "--json").json == {"imports": []}
    with serve("--items", "5", "--limits", "4/1 second") as url:
        command.environment = {"ITEMS_BASE_URL": url, "ITEMS_LIMITS": "4/1 second"}
        assert command.run("plan", "items").out == (
            "5 items of items: 1 list page and 5 details, 6 requests in all.\n"
            "Details that have not changed since the last import are not fetched again.\n"
            "Under 4/1 second that takes at least 1.0 s.\n"
        )
        planned = command.run("plan", "items", "--json").json
        assert (planned["items_count"], planned["requests_count"], planned["ideal_seconds"]) == (5, 6, 1.0)
        told = command.run("run", "items")
    assert "5 of 5 imported" in told.out
    assert re.search(r"requests +6, 0 x 429", told.out)
    assert re.search(r"1\.\d+ x the least that the limits allow, 1\.0 s", told.out)
    # The limits that were felt then count, not those that are set now.
    command.environment = {"ITEMS_LIMITS": "4000/1 second"}
    [listed] = command.run("list", "--json").json["imports"]
    assert listed["ideal_seconds"] == 1.0
    assert command.run("show", "1", "--json").json["events"][-1]["action"] == "import_completed"
    wide, narrow = command.run("list").out, command.run("list", COLUMNS="80").out
    assert "x least time" in wide
    assert all(len(line) <= 80 for line in narrow.splitlines())
    for table in (wide, narrow):
        assert len(table.splitlines()) == 2
        assert re.search(r"1 +items .*completed +\d{4}-\d\d-\d\d \d\d:\d\d.* 5/5 +0 +\d\.\d s +0", table)


def test_doctor_finds_a_healthy_installation_healthy_and_notes_what_will_not_last(command, postgres_url, redis_url):
    """The test's Redis keeps nothing, its role is a superuser, and no daemon runs."""
    with serve("--items", "5", "--limits", "none") as url:
        told = command.run("doctor", ITEMS_BASE_URL=url, DATABASE_URL=postgres_url, REDIS_URL=redis_url)
    lines = [line.split(" ", 1) for line in told.out.splitlines()]
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
    assert f"source items: answers at {url}, 5 items, limits 500/20 second; 2000/100 second" in told.out
    assert "the role postgres is a superuser" in told.out
    assert "set appendonly to yes" in told.out
    assert "no daemon has given a sign of life yet" in told.out
    assert "only-for-tests" not in told.out


@pytest.mark.parametrize(
    ("settings", "unhealthy"),
    [
        ({"SOURCE_API_PORT": "x"}, {"settings": "SOURCE_API_PORT: expected a port"}),
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
                "Dagster": "its storage lies in the database",
            },
        ),
        ({"ITEMS_BASE_URL": "http://127.0.0.1:9"}, {"source items": "the API at http://127.0.0.1:9 cannot be reached"}),
    ],
)
def test_doctor_says_what_is_wrong(command, folder, settings, unhealthy):
    if "DAGSTER_HOME" in settings:
        (folder / "dagster.yaml").write_text("storage: nonsense\n")
    given = {name: value.replace("FOLDER", str(folder)) for name, value in settings.items()}
    told = command.run("doctor", "--json", status=4, **given)
    assert told.json["healthy"] is False
    found = {finding["name"]: finding["message"] for finding in told.json["findings"] if not finding["ok"]}
    assert found.keys() == unhealthy.keys()
    for name, part in unhealthy.items():
        assert part in found[name]
    assert "passw0rd" not in told.out + told.err
    assert told.err == ""


def test_a_watcher_sees_an_import_to_its_end(command):
    with slow_api() as url:
        command.environment = {"ITEMS_BASE_URL": url, "ITEMS_LIMITS": PACE}
        running = command.start("run", "items", "--json")
        some_details(url, 1)
        watcher = command.start("show", "1", "--watch")
        eventually(lambda: not watcher.is_running, "the watcher has ended")
        running.end()
        watched = watcher.end()
    assert watched.status == 0
    assert re.search(r"items completed: 30 of 30 items after \d\.\d s", watched.err)
    assert "30 of 30 imported" in watched.out


def test_a_terminal_shows_a_bar_that_moves(command):
    with serve("--items", "8", "--limits", "none") as url:
        command.environment = {"ITEMS_BASE_URL": url, "ITEMS_LIMITS": "4/1 second"}
        drawn = command.run_on_terminal("run", "items")
    assert "items running" in drawn
    assert len(set(re.findall(r"[1-8]/8\b", drawn))) >= 2
    assert "8 of 8 imported" in drawn


def test_a_wish_that_no_daemon_lives_to_carry_out_names_what_does_so_at_once(command):
    with serve("--items", "3", "--limits", "none") as url:
        command.environment = {"ITEMS_BASE_URL": url}
        told = words(command.run("request", "items").out).strip()
        assert told == (
            "Wish 1 is written down: no daemon has given a sign of life yet, so it waits until `make up`, `dagster "
            "dev` or `dagster-daemon run` is started; `import-pipeline start-scheduled items` "
            "carries it out here and now."
        )
        done = command.run("start-scheduled", "items", "--json").json["imports"]
    assert [(each["status"], each["items_imported_count"]) for each in done] == [("completed", 3)]
