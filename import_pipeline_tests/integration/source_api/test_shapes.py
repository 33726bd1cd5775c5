"""A shape as a separate process: its first line, its counters, a change, its end."""

import signal
import subprocess
import sys

from import_pipeline_tests.support import http
from source_api.shapes import TOKEN

COMMAND = [sys.executable, "-m", "source_api.shapes"]


def test_it_says_where_it_listens_and_ends_well_when_asked_to():
    options = ["plain", "--port", "0", "--items", "3", "--limits", "none"]
    with subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline().strip()
            url = line.split()[3]
            assert line == f"Shape plain on {url} (3 items)"
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            http.post(f"{url}/_change", json={"delete": [2], "add": 1})
            assert http.get(f"{url}/ids", headers=bearer).json() == [1, 3, 4]
            assert http.get(f"{url}/ids").status_code == 401
            stats = http.get(f"{url}/_stats").json()
            assert (stats["by_kind"], stats["refusals"]) == ({"list": 2}, ["/ids: wrong or missing token"])
            http.post(f"{url}/_reset")
            assert http.get(f"{url}/_stats").json()["requests"] == 0
            server.send_signal(signal.SIGTERM)
            assert server.wait(30) == 0
            assert server.stderr.read() == ""
        finally:
            server.kill()
