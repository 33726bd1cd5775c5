"""`up` and `demo`: all servers on one machine."""

import re
import signal
import socket

import dagster as dg
import pytest

from import_pipeline_tests.acceptance.command_line import (
    answers,
    commands_of,
    events_of,
    eventually,
    far_slot,
    free_port,
    processes_of,
    rows,
    tracking,
    words,
)


def said_until_it_serves(up):
    """Return the lines that `up` writes until it serves."""
    said = []
    while not said or "Ctrl-C stops all." not in said[-1]:
        said.append(up.process.stderr.readline())
        assert said[-1], said
    return said


def test_up_serves_the_demo_api_the_dagster_ui_and_the_panel_until_ctrl_c(script, command, home):
    api, ui, panel = free_port(), free_port(), free_port()
    ports = {"SOURCE_API_PORT": str(api), "DAGSTER_PORT": str(ui), "PANEL_PORT": str(panel)}
    up = script.start("up", **ports, ITEMS_SLOTS=far_slot())
    assert said_until_it_serves(up) == [
        "Starting. Dagster needs 20 to 40 seconds.\n",
        f"Demo API    http://127.0.0.1:{api}\n",
        f"Dagster UI  http://127.0.0.1:{ui}\n",
        f"Panel       http://127.0.0.1:{panel}\n",
        "Ctrl-C stops all.\n",
    ], "nothing but what matters"
    for address in (f"http://127.0.0.1:{api}/api/items", f"http://127.0.0.1:{ui}/", f"http://127.0.0.1:{panel}/"):
        eventually(lambda address=address: answers(address), f"{address} answers")
    up.process.send_signal(signal.SIGINT)
    ended = up.end()
    assert ended.status == 0, ended
    assert "Stopping: Dagster ends its runs first." in ended.err
    assert "Traceback" not in ended.out + ended.err
    assert not (home / "dagster" / ".logs_queue").exists(), "what is not sent needs no folder"
    eventually(lambda: not processes_of(home), "every server has ended")
    assert "No Dagster daemon is running" in words(command.run("request", "items").out)


def test_up_starts_no_demo_api_for_a_source_with_another_address_and_leaves_nothing_if_it_is_killed(script, home):
    """It is killed during its start, at night once it serves."""
    ports = {"SOURCE_API_PORT": str(free_port()), "DAGSTER_PORT": str(free_port()), "PANEL_PORT": str(free_port())}
    up = script.start("up", **ports, ITEMS_SLOTS=far_slot(), ITEMS_BASE_URL="https://api.example.com")
    eventually(lambda: runs(home, b"dagster_webserver") and runs(home, b"\0panel\0"), "the servers start")
    assert not runs(home, b"source_api")
    up.process.send_signal(signal.SIGKILL)
    eventually(lambda: not processes_of(home), "every server has ended")
    up.end()


def runs(home, server):
    return any(server in line for line in commands_of(home))


@pytest.mark.nightly
def test_up_serves_no_demo_api_for_a_source_with_another_address_and_leaves_nothing_if_it_is_killed(script, home):
    ports = {"SOURCE_API_PORT": str(free_port()), "DAGSTER_PORT": str(free_port()), "PANEL_PORT": str(free_port())}
    up = script.start("up", **ports, ITEMS_SLOTS=far_slot(), ITEMS_BASE_URL="https://api.example.com")
    assert [line.partition("  ")[0] for line in said_until_it_serves(up)[1:-1]] == ["Dagster UI", "Panel"]
    assert not answers(f"http://127.0.0.1:{ports['SOURCE_API_PORT']}/api/items")
    assert len(processes_of(home)) > 4
    up.process.send_signal(signal.SIGKILL)
    eventually(lambda: not processes_of(home), "every server has ended")
    up.end()


@pytest.mark.parametrize("setting", ["SOURCE_API_PORT", "DAGSTER_PORT", "PANEL_PORT"])
def test_up_refuses_a_port_that_is_taken(command, setting):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ports = {name: str(free_port()) for name in ("SOURCE_API_PORT", "DAGSTER_PORT", "PANEL_PORT")}
        ended = command.run("up", status=2, **ports | {setting: str(port)})
    assert ended.sentence == f"port {port} is in use: stop the program there, or set {setting} to another port"


def test_the_demo_imports_all_of_its_items_under_its_limits(script, home, instance):
    ended = script.run("demo")
    text = words(ended.out)
    assert "400 of 400 imported" in text
    assert "404, 0 x 429" in text
    assert "x the least time under the limits, 20.0 s" in text
    assert "import-pipeline show 1" in text
    [row] = rows(tracking(home), "SELECT * FROM imports")
    assert (row["status"], row["requests_count"], row["rate_limit_hits_count"]) == ("completed", 404, 0)
    assert rows(tracking(home), "SELECT count(DISTINCT external_id) AS items FROM imported_items") == [{"items": 400}]
    check_the_observations(instance, row["dagster_run_id"])


def check_the_observations(instance, run_id):
    """Check the progress observations of an import of more than five seconds, on the asset that it fills."""
    observed = [
        event.asset_observation_data.asset_observation
        for event in events_of(instance, run_id, dg.DagsterEventType.ASSET_OBSERVATION)
    ]
    assert {each.asset_key.to_user_string() for each in observed} == {"enriched_items"}
    for each in observed:
        figures = {key: value.value for key, value in each.metadata.items()}
        assert (figures["items_total"], figures["items_failed"]) == (400, 0)
        assert 0 < figures["items_imported"] < 400
        assert figures["eta_seconds"] > 0
        assert re.fullmatch(r"Import 1: \d+ of 400 items", each.description)


@pytest.mark.nightly
def test_a_second_demo_makes_no_duplicates(command, home):
    for _ in range(2):
        command.run("demo")
    assert rows(tracking(home), "SELECT count(*) AS items FROM imported_items") == [{"items": 400}]
    assert len(rows(tracking(home), "SELECT id FROM imports WHERE status = 'completed'")) == 2
