"""Secrets in the URL, in headers and in bodies, and requests that fail in every way: no output contains a secret."""

import json
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from import_pipeline_tests.acceptance.command_line import CommandLine
from import_pipeline_tests.support.hostile_server import hostile_server, reset_in_body, slow_body
from import_pipeline_tests.support.imports import without_place
from import_pipeline_tests.support.panel_client import open_panel
from import_pipeline_tests.support.planted_secrets import SECRETS

ROOT = Path(__file__).parents[2]
#: The content of each answer: everything that was sent, and a secret of the API.
ECHO = {"session_token": SECRETS["body of an answer"], "echo": list(SECRETS.values())}
BODY = json.dumps(ECHO).encode()
LOCATION = f"Location: http://importer:{SECRETS['password of the address']}@127.0.0.1/?{SECRETS['token']}"


def answer(line, *, status, body=BODY, head=""):
    """Return a response of that status that repeats every secret."""
    cookie = f"Set-Cookie: session={SECRETS['body of an answer']}"
    lines = [f"HTTP/1.1 {status} Whatever", cookie, f"Content-Length: {len(body)}", "Connection: close"]
    line.say("\r\n".join([*lines, *filter(None, [head]), "", ""]).encode() + body)


def broken(line):
    """Truncated JSON that contains every secret."""
    line.body(BODY[:-1], "Connection: close")


#: One import meets all of these: each fails its own item.
ITEMS = {
    "missing": partial(answer, status=422),
    "busy": partial(answer, status=500),
    "odd": partial(answer, status=418),
    "moved": partial(answer, status=302, head=LOCATION),
    "picky": lambda line: line.body(BODY, "Connection: close"),
    "broken": broken,
    "reset": reset_in_body,
    "slow": slow_body,
    "unaskable": broken,
    "unreadable": broken,
}
#: Answers and errors that once ended an import; each fails the only item of an import.
ENDINGS = {
    "no-401": partial(answer, status=401),
    "no-403": partial(answer, status=403),
    "crash": lambda line: line.body(BODY, "Connection: close"),
    "crash-chained": lambda line: line.body(BODY, "Connection: close"),
}


def unkind_list(line):
    """An invalid page that repeats the content of the list request."""
    echo = [secret for where, secret in SECRETS.items() if where != "header of a request"]
    line.body(json.dumps(ECHO | {"echo": echo}).encode(), "Connection: close")


@pytest.fixture
def command(tmp_path, home):
    """The command, with secrets in the source and all logging on."""
    line = CommandLine(tmp_path)
    line.environment = {
        "PYTHONPATH": str(ROOT),
        "IMPORT_PIPELINE_SOURCES": "import_pipeline_tests.support.planted_secrets:SOURCES",
        "PLANTED_TOKEN": SECRETS["token"],
        "PLANTED_LOG": str(tmp_path / "all.log"),
        "PLANTED_LIMITS": "100000/1 second",
        "PLANTED_TRIES": "2",
        "PLANTED_BACKOFF": "0.01",
        "PLANTED_TIMEOUT": "1",
    }
    yield line
    line.end_all()


def secrets_in(text: str | bytes) -> list[str]:
    """Return the secrets in a text, as they are or quoted as in a URL."""
    data = text if isinstance(text, bytes) else text.encode()
    return [
        where for where, secret in SECRETS.items() if secret.encode() in data or quote(secret, safe="").encode() in data
    ]


async def look_everywhere(command, said, folder, monkeypatch):
    """Search commands, files, databases, logs and pages; return each place with the secrets it contains."""
    seen = {"run, output": said.out, "run, errors": said.err}
    for arguments in (["show", "1"], ["list", "--json"], ["doctor"]):
        shown = command.run(*arguments, status=None)
        seen[" ".join(arguments)] = shown.out + shown.err
    for path in folder.rglob("*"):
        if path.is_file():
            seen[str(path)] = path.read_bytes()
    for name, value in command.environment.items():
        monkeypatch.setenv(name, value)
    async with open_panel(folder / "home", **command.environment) as visit:
        for path in ("/", "/imports/1", "/api/imports", "/api/imports/1", "/metrics"):
            page = await visit.get(path)
            assert page.status_code == 200, path
            seen[f"panel {path}"] = page.text
    return {where: found for where, text in seen.items() if (found := secrets_in(text))}


@pytest.mark.anyio
async def test_no_failure_of_an_item_reveals_a_secret(command, tmp_path, monkeypatch):
    with hostile_server(ITEMS) as url:
        command.environment["PLANTED_BASE_URL"] = url
        said = command.run("run", "planted", status=3)
        assert await look_everywhere(command, said, tmp_path, monkeypatch) == {}
    shown = command.run("show", "1", "--json")
    assert secrets_in(shown.out) == []
    failures = {each["external_id"]: each["reason"] for each in shown.json["failures"]}
    assert len(failures) == len(ITEMS)
    payloads = {each["external_id"]: each["payload"] for each in shown.json["failures"]}
    assert payloads["picky"] == json.dumps({"session_token": "***", "echo": ["***"] * len(SECRETS)})
    assert {name for name, payload in payloads.items() if payload is None} == {
        "(page 1, item 10)",
        "reset",
        "slow",
        "unaskable",
    }
    assert without_place(failures["picky"]) == (
        "SecretRevealingItem.populate raises ValueError: picky: not with {'session_token': '***', 'echo': ["
        + ECHOED
        + "]}, nor "
        + " ".join(["***"] * len(SECRETS))
    )
    logged = (tmp_path / "all.log").read_text()
    assert "GET /api/items/missing?api_key=***" in logged


ECHOED = ", ".join(["'***'"] * len(SECRETS))


@pytest.mark.anyio
@pytest.mark.parametrize(
    "ending",
    [pytest.param(name, marks=[] if name == "crash" else pytest.mark.nightly) for name in ENDINGS],
)
async def test_no_import_of_one_item_reveals_a_secret(command, tmp_path, monkeypatch, ending):
    with hostile_server({ending: ENDINGS[ending]}) as url:
        command.environment["PLANTED_BASE_URL"] = url
        said = command.run("run", "planted", status=3)
        assert await look_everywhere(command, said, tmp_path, monkeypatch) == {}


@pytest.mark.anyio
@pytest.mark.nightly
@pytest.mark.parametrize("page", [unkind_list, broken, ENDINGS["no-401"], reset_in_body])
async def test_no_list_that_fails_reveals_a_secret(command, tmp_path, monkeypatch, page):
    with hostile_server({}, page=page) as url:
        command.environment["PLANTED_BASE_URL"] = url
        said = command.run("run", "planted", status=4)
        assert await look_everywhere(command, said, tmp_path, monkeypatch) == {}


@pytest.mark.anyio
@pytest.mark.nightly
async def test_no_refused_connection_reveals_a_secret(command, tmp_path, monkeypatch):
    command.environment["PLANTED_BASE_URL"] = "http://127.0.0.1:9"
    said = command.run("run", "planted", status=4)
    assert "the API at http://127.0.0.1:9 cannot be reached" in said.err
    assert await look_everywhere(command, said, tmp_path, monkeypatch) == {}
