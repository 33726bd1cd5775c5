"""An empty Dagster project that follows docs/sources/declarative.md exactly, with the package from its wheel."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from import_pipeline_tests.acceptance.command_line import BIN, CommandLine, eventually, free_port, rows, stats, tracking
from import_pipeline_tests.acceptance.dagster_dev import RunningCommand
from import_pipeline_tests.support.forked_cli import serve

DOCUMENT = (Path(__file__).parents[2] / "docs" / "sources" / "declarative.md").read_text()
#: A run reports each of 400 items to Dagster, which takes longer than the import.
LAUNCH_SECONDS = 300
LIMITS = "500/20 second; 2000/100 second"


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


class Project:
    """The folder in which the document's commands run, and what they print."""

    def __init__(self, folder, programs, environment):
        self.folder, self.programs, self.environment = folder, programs, environment
        self.started = []

    def run(self, line):
        """Run a command of the document and return its output."""
        name, *arguments = line.split()
        if name == "cd":
            self.folder = self.folder / arguments[0]
            return ""
        command = self.command(name)
        self.started.append(command)
        running = command.start(*arguments)
        out, err = running.process.communicate(timeout=LAUNCH_SECONDS)
        assert running.process.returncode == 0, out + err
        return f"{out}{err}"

    def command(self, name):
        command = CommandLine(self.folder, str(self.programs / name))
        command.environment = self.environment
        return command

    def follow(self, block):
        """Run the commands of a block. Each prints the lines that the document shows, at least."""
        printed = ""
        for line in block.splitlines():
            if line.startswith("$ "):
                printed = self.run(line.removeprefix("$ "))
            elif not re.search(r"\d", line):  # figures differ
                assert line.strip() in printed
        return printed

    def fill_in(self, url):
        """Write the file of the document, for the API at that address."""
        [text] = [each for each in blocks("yaml") if each.startswith("# src/")]
        name = text.partition("\n")[0].removeprefix("# ")
        assert (self.folder / name).is_file(), "the scaffolder wrote another file"
        (self.folder / name).write_text(text.replace("http://127.0.0.1:8000", url))
        pattern = re.search(r"IMPORT_PIPELINE_SOURCES=(\S+)", DOCUMENT)[0]
        (self.folder / ".env").write_text(f"{pattern}\n")

    def end(self):
        for command in self.started:
            command.end_all()


@pytest.fixture
def project(folder, installed, monkeypatch):
    """Dagster's programs of the tests' environment; the package is the wheel's."""
    monkeypatch.delenv("IMPORT_PIPELINE_HOME", raising=False)
    environment = {"PYTHONPATH": f"src{os.pathsep}{installed}", "DAGSTER_DISABLE_TELEMETRY": "1"}
    found = Project(folder, BIN, environment)
    yield found
    found.end()


@pytest.mark.timeout(400)
def test_a_scaffolded_project_imports_what_a_dozen_words_declare(project):
    scaffold, check = blocks("console")
    project.follow(scaffold)
    with serve("--items", "12", "--limits", LIMITS) as url:
        project.fill_in(url)
        project.follow(check)
        answered = stats(url)
    assert (answered["details"], answered["rate_limited"]) == (12, 0)
    stored = rows(tracking(project.folder / ".import_pipeline"), "SELECT count(price) AS prices FROM items")
    assert stored == [{"prices": 12}]


@pytest.mark.nightly
@pytest.mark.timeout(400)
def test_a_mistake_is_found_by_both_checks(project):
    project.follow(blocks("console")[0])
    project.fill_in("http://127.0.0.1:9")
    path = next(project.folder.rglob("defs.yaml"))
    path.write_text(path.read_text().replace("  list:", "  lits:"))
    checked = project.command("dg").run("check", "yaml", status=1)
    assert "'lits' was unexpected" in checked.out + checked.err
    path.write_text(path.read_text().replace("  lits:", "  list:").replace("/{id}", ""))
    checked = project.command("dg").run("check", "defs", status=1)
    sentence = "items.detail: expected a request that names the item, such as /orders/{id}, got '/api/items'"
    assert sentence in " ".join((checked.out + checked.err).split())


@pytest.fixture
def fresh(folder, wheel, tmp_path, monkeypatch):
    """A new environment with nothing but the wheel and Dagster's tools, as a user has it."""
    monkeypatch.delenv("IMPORT_PIPELINE_HOME", raising=False)
    place = tmp_path / "environment"
    tools = ("create-dagster>=1.13.13,<1.14", "dagster-dg-cli>=1.13.13,<1.14")
    install = ("uv", "pip", "install", "--quiet", "--python", str(place / "bin" / "python"))
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, str(place)], check=True)
    subprocess.run([*install, str(wheel), *tools], check=True)
    found = Project(folder, place / "bin", {"DAGSTER_DISABLE_TELEMETRY": "1", "VIRTUAL_ENV": str(place)})
    yield found, install
    found.end()


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_all_400_items_are_imported_in_an_environment_of_their_own(fresh):
    """At last `dg dev` imports again, by a request from the command line."""
    project, install = fresh
    scaffold, check = blocks("console")
    project.follow(scaffold)
    subprocess.run([*install, "--no-deps", "-e", str(project.folder)], check=True)
    assert "import_pipeline.RestImport" in project.command("dg").run("list", "components").out
    with serve("--items", "400", "--limits", LIMITS) as url:
        project.fill_in(url)
        project.follow(check)
        answered = stats(url)
        assert (answered["details"], answered["rate_limited"]) == (400, 0)
        check_dg_dev(project)


def check_dg_dev(project):
    home = project.folder / ".import_pipeline"
    with (project.folder / "dev.log").open("w") as said:
        process = subprocess.Popen(
            [str(project.programs / "dg"), "dev", "--port", str(free_port())],
            cwd=project.folder,
            env={**os.environ, **project.environment},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            text=True,
        )
    running = RunningCommand(process)
    try:
        project.command("import-pipeline").run("request", "items")
        completed = "SELECT items_unchanged_count FROM imports WHERE status = 'completed' AND id > 1"
        [second] = eventually(lambda: rows(tracking(home), completed), "dg dev has imported", 300)
        assert second == {"items_unchanged_count": 400}
    finally:
        running.kill()
