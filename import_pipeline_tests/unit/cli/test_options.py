"""Confirmation before data is lost."""

import os
import pty
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from import_pipeline.cli import cli

ASK = "import sys; from import_pipeline.cli import options; options.confirm('Delete it?'); print('deleted')"
#: ASK in a command that may end early.
COMMAND = f"import sys, click; sys.exit(click.command()(lambda: exec({ASK!r})).main([], standalone_mode=False) or 0)"


def answered(answer: str | None) -> tuple[int, str]:
    """Return the status and the output of a command that asks, with or without a terminal."""
    terminal, stdin = pty.openpty() if answer is not None else (None, subprocess.DEVNULL)
    try:
        if terminal is not None:
            os.write(terminal, f"{answer}\n".encode())
        done = subprocess.run([sys.executable, "-c", COMMAND], stdin=stdin, capture_output=True, text=True, check=False)
    finally:
        for each in (terminal, stdin):
            if each is not None and each >= 0:
                os.close(each)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("answer", "status", "says"),
    [("y", 0, "deleted"), ("n", 4, "Nothing was changed."), ("", 4, "Nothing was changed.")],
)
def test_only_yes_confirms(answer: str, status: int, says: str) -> None:
    got, said = answered(answer)
    assert (got, says in said, "deleted" in said) == (status, True, status == 0)


def test_without_a_terminal_nothing_is_done() -> None:
    got, said = answered(None)
    assert got != 0
    assert said.strip().endswith("UsageError: Delete it? No terminal is attached: confirm with --yes")


def test_the_shell_completes_the_names_of_sources(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    completion = ShellComplete(cli, {}, "import-pipeline", "_IMPORT_PIPELINE_COMPLETE")
    assert [each.value for each in completion.get_completions(["run"], "it")] == ["items"]
    assert completion.get_completions(["plan"], "x") == []
    monkeypatch.setenv("IMPORT_PIPELINE_SOURCES", "nowhere:SOURCES")
    assert completion.get_completions(["run"], "") == []
