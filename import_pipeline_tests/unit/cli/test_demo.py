"""What the demo says at its end."""

import sys
from pathlib import Path

from import_pipeline.cli.demo import SCRIPT, script_shown


def test_the_command_is_named_as_it_can_be_typed_here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    scripts = Path(sys.executable).parent
    monkeypatch.setenv("PATH", str(scripts))
    assert script_shown() == SCRIPT
    monkeypatch.setenv("PATH", str(tmp_path))
    assert script_shown() == str(scripts / SCRIPT)
    monkeypatch.chdir(scripts.parent)
    assert script_shown() == f"{scripts.name}/{SCRIPT}"
