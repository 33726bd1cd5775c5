"""While an import runs: a second command, a viewer, a kill, an interrupt."""

import re
import signal
from datetime import datetime

from import_pipeline_tests.acceptance.command_line import eventually, rows, some_details, stats, tracking, words
from import_pipeline_tests.acceptance.slow_api import ITEMS, PACE, slow_api
from import_pipeline_tests.support.database_servers import RedisServer
from import_pipeline_tests.support.forked_cli import serve


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
        assert f"import 1 has been running since {since} UTC" in second.sentence
        assert f"Dagster run {running[0]['dagster_run_id']}" in second.sentence
        assert second.out == ""
        assert first.end().json["items_imported_count"] == ITEMS
        assert stats(url)["repeated_details"] == {}


def test_chosen_items_wait_for_the_running_import_for_the_configured_time(command, home):
    with slow_api() as url:
        command.environment = {"ITEMS_BASE_URL": url, "ITEMS_LIMITS": PACE}
        first = command.start("run", "items", "--json")
        some_details(url, 1)
        impatient = command.run("run", "items", "--only", "3", "--json", status=4, ITEMS_WAIT="0.1")
        assert "import 1 has been running since" in impatient.err.splitlines()[-1]
        second = command.run("run", "items", "--only", "3", "--json")
        assert second.err.startswith(
            "Waiting for up to 300 s (ITEMS_WAIT) until no other import runs. items: import 1 "
        )
        assert second.json["items_imported_count"] == 1
        assert first.end().json["items_imported_count"] == ITEMS


def test_two_simultaneous_commands_start_one_import(command):
    with slow_api() as url:
        command.environment = {"ITEMS_BASE_URL": url, "ITEMS_LIMITS": PACE}
        both = [command.start("run", "items", "--json") for _ in range(2)]
        ended = sorted((each.end() for each in both), key=lambda each: each.status)
        assert [each.status for each in ended] == [0, 4]
        assert re.search(r"import \d+ has been running since .* in Dagster run [0-9a-f-]{36}", ended[1].sentence)
        assert stats(url)["repeated_details"] == {}
        assert ended[0].json["items_imported_count"] == ITEMS


def repeated_requests(url):
    """Return the requests for items that had been requested before."""
    return sum(times - 1 for times in stats(url)["repeated_details"].values())


def test_after_a_kill_the_next_run_continues_the_same_import(command, home):
    with slow_api() as url:
        command.environment = {"ITEMS_BASE_URL": url, "ITEMS_LIMITS": PACE}
        killed = command.start("run", "items", "--json")
        some_details(url, 12)
        killed.signal(signal.SIGKILL)
        killed.end()
        in_flight = stats(url)["peak_concurrency"]
        dead_run = rows(tracking(home), "SELECT dagster_run_id FROM imports")[0]["dagster_run_id"]
        assert "1 of items: no worker" in command.run("show", "1").out
        resumed = command.run("run", "items", "--json")
        assert "The process of import 1 of items died. Resuming it." in resumed.err
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
        few = {"ITEMS_CONCURRENCY": "3", "ITEMS_CEILING": "3"}
        command.environment = {"ITEMS_BASE_URL": url, "ITEMS_LIMITS": PACE, **few}
        interrupted = command.start("run", "items")
        some_details(url, 6)
        interrupted.signal(signal.SIGINT)
        ended = interrupted.end()
        assert ended.status == 130
        assert ended.err.endswith(
            "import-pipeline: items: import 1 was interrupted. Finished items are kept, and the next run resumes it; "
            "if Dagster's daemon runs, its sensor does so within seconds. "
            "To stop it permanently: import-pipeline cancel 1\n"
        )
        shown = words(command.run("show", "1").out)
        assert "none: its process released it." in shown
        assert "`import-pipeline run items` resumes it immediately." in shown
        assert " no worker " in command.run("list").out
        never_asked = command.run("delete", "1", status=2).sentence
        assert never_asked == "import 1 is running: expected one that has ended; cancel it first"
        assert "`run items` resumes it" in command.run("finalize", "1", status=4).out
        chosen = command.start("run", "items", "--only", "3,5", "--json")
        some_details(url, 12)
        chosen.signal(signal.SIGINT)
        interrupted_selection = chosen.end()
        assert (interrupted_selection.status, interrupted_selection.out) == (130, "")
        assert "3, 5 have not been imported. Run the command again.\n" in interrupted_selection.err
        resumed = command.run("run", "items", "--json").json
        assert (resumed["import_id"], resumed["status"], resumed["items_imported_count"]) == (1, "completed", ITEMS)
        assert repeated_requests(url) <= 2 * 3, "what is in flight is waited for, half a second"


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
    assert re.search(r"items completed: 30 of 30 items done after \d\.\d s", watched.err)
    assert "30 of 30 imported" in watched.out


def test_a_run_without_its_rate_limit_store_says_so_and_the_next_one_continues(command, home):
    limits = {"ITEMS_LIMITS": "20/1 second", "ITEMS_MAX_OUTAGE": "3"}
    with RedisServer() as store, serve("--items", "60", "--limits", "20/1 second", "--delay-after", "10") as url:
        environment = {"ITEMS_BASE_URL": url, "REDIS_URL": store.url(), **limits}
        killed = command.start("run", "items", "--json", **environment)
        some_details(url, 10)
        killed.signal(signal.SIGKILL)
        killed.end()
        store.kill()
        waits = command.run("run", "items", "--json", status=4, **environment)
        said = waits.err.splitlines()
        assert said[0] == "The process of import 1 of items died. Resuming it."
        assert said[-1].startswith(
            "import-pipeline: items: import 1 waits: the rate-limit store does not answer. The Redis rate-limit store: "
        )
        assert "Check REDIS_URL and the server. Finished items are kept. Once it answers, the sensor" in said[-1]
        ill = command.run("doctor", status=4, **environment)
        assert "the Redis rate-limit store: Error 111" in words(ill.out + ill.err)
        assert "doctor cannot" not in words(ill.out + ill.err)
        store.start()
        done = command.run("run", "items", "--json", **environment).json
    assert (done["import_id"], done["status"], done["items_imported_count"]) == (1, "completed", 60)
