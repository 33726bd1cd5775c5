"""What the demo imports, and what it says at its end."""

import sys
from pathlib import Path

import pytest

from import_pipeline.cli.demo import SCRIPT, require_example, script_shown
from import_pipeline.errors import UsageError
from import_pipeline.settings import load_settings


def test_the_command_is_named_as_it_can_be_typed_here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    scripts = Path(sys.executable).parent
    monkeypatch.setenv("PATH", str(scripts))
    assert script_shown() == SCRIPT
    monkeypatch.setenv("PATH", str(tmp_path))
    assert script_shown() == str(scripts / SCRIPT)
    monkeypatch.chdir(scripts.parent)
    assert script_shown() == f"{scripts.name}/{SCRIPT}"


def test_the_demo_imports_the_example_and_no_source_of_ones_own_of_that_name(home):
    require_example(load_settings({}))
    with pytest.raises(UsageError, match="items is not the example here: unset IMPORT_PIPELINE_SOURCES"):
        require_example(load_settings({"IMPORT_PIPELINE_SOURCES": "import_pipeline_tests.second_source:SOURCES"}))
