"""The entry point of the command line."""

import logging
import subprocess
import sys

import pytest

from import_pipeline.cli import main
from import_pipeline.logs import LOGGER, report

#: Loads the entry point, and is interrupted as soon as it begins to load the commands.
INTERRUPTED = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "import_pipeline.cli.commands":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv = ["import-pipeline", "list", "--help"]
signal.signal(signal.SIGINT, {before})
from import_pipeline.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("before", "status", "said"),
    [("signal.default_int_handler", 130, "import-pipeline: interrupted\n"), ("signal.SIG_IGN", 0, "")],
)
def test_an_interrupt_while_it_loads_is_one_sentence_unless_interrupts_are_ignored(before, status, said):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(before=before)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (status, said)


def test_a_command_prints_no_log_lines_by_default(monkeypatch, capsys):
    monkeypatch.setattr(LOGGER, "handlers", [])
    with pytest.raises(SystemExit):
        main(["--version"])
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    report("rate_limit_hit", "The API refused.", level=logging.WARNING)
    assert capsys.readouterr().err == ""
