"""The demo API as a separate process: its first line, signals, and faults that need a connection."""

import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import pytest

from import_pipeline_tests.support import http
from source_api.errors import ServerDied
from source_api.process import serve

COMMAND = [sys.executable, "-m", "source_api"]
LONG = 30.0  # seconds; only a server that is broken takes them


@contextmanager
def process(*options):
    """The server, after its first line was read."""
    with subprocess.Popen(
        [*COMMAND, "--port", "0", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running, running.stdout.readline().strip()
        finally:
            running.kill()


def url_of(line):
    return line.split()[3]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_and_ends_well_when_asked_to(ending):
    with process() as (server, line):
        assert line == f"Demo API on {url_of(line)} (400 items, 500/20 s + 2000/100 s)"
        assert http.get(f"{url_of(line)}/health").json() == {"status": "ok"}
        server.send_signal(ending)
        assert (server.wait(LONG), server.stdout.read(), server.stderr.read()) == (0, "", "")


def test_it_ends_at_once_while_requests_hang_or_are_delayed():
    with process("--fault", "20=hang", "--delay-after", "60000") as (server, line):
        url = url_of(line)
        lost = []
        threads = [threading.Thread(target=lose, args=(f"{url}/api/items/{item}", lost)) for item in (1, 20)]
        for thread in threads:
            thread.start()
        wait_for(lambda: http.get(f"{url}/_stats").json()["in_flight"] == 2)
        asked = time.monotonic()
        server.send_signal(signal.SIGTERM)
        assert (server.wait(LONG), server.stderr.read()) == (0, "")
        assert time.monotonic() - asked < 5
        for thread in threads:
            thread.join()
        assert len(lost) == 2


def lose(url, lost):
    try:
        http.get(url, timeout=LONG).raise_for_status()
    except httpx.HTTPError as error:
        lost.append(error)


def wait_for(condition):
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_connections_are_dropped_and_left_hanging_as_ordered():
    with serve("--fault", "20=hang*1", "--fault", "21=drop*1") as url, httpx.Client(base_url=url) as client:
        with pytest.raises(httpx.RemoteProtocolError, match="disconnected without sending a response"):
            client.get("/api/items/21")
        with pytest.raises(httpx.ReadTimeout):
            client.get("/api/items/20", timeout=httpx.Timeout(60, read=1))
        assert [client.get(f"/api/items/{item}").status_code for item in (20, 21)] == [200, 200]
        wait_for(lambda: client.get("/_stats").json()["in_flight"] == 0)
        assert client.get("/_stats").json()["unanswered"] == 2
        assert [status for _, _, status in client.get("/_log").json()] == [None, None, 200, 200]


def test_limits_hold_over_real_connections():
    with serve("--limits", "5/60 second", "--window", "fixed", "--items", "10") as url:
        answers = [http.get(f"{url}/api/items/{item}") for item in range(1, 8)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
        assert 58 <= int(answers[-1].headers["retry-after"]) <= 60
        assert abs(int(answers[-1].headers["x-ratelimit-reset"]) - time.time() - 60) < 5
        assert http.get(f"{url}/_stats").json()["rate_limited"] == 2


def test_a_database_outlives_the_server(tmp_path):
    file = tmp_path / "items.sqlite"
    with serve("--database", str(file), "--items", "20"):
        pass
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE api_items SET price = '1.00' WHERE id = 3")
    connection.close()
    with serve("--database", str(file)) as url:
        assert http.get(f"{url}/api/items/3").json()["price"] == "1.00"
        assert http.get(f"{url}/").json()["items"] == 20


def test_a_bad_option_is_one_sentence_and_status_2():
    assert_refused(["--fault", "17=explode"], "--fault: expected 'ID=WHAT'")


def test_a_taken_port_is_one_sentence_and_status_2():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_refused(["--port", str(port)], f"(Address already in use), got '127.0.0.1:{port}'")


def assert_refused(options, words):
    ended = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=LONG, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("source_api: ")
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_server_that_does_not_start_is_reported_with_its_own_words():
    with (
        pytest.raises(ServerDied, match="did not start: source_api: --items: expected a number"),
        serve("--items", "-1"),
    ):
        pass  # pragma: no cover
