"""The sources that the demo imports, and the command that it prints."""

import sys
from pathlib import Path

import pytest

from import_pipeline.cli.demo import SCRIPT, require_example_source, script_path
from import_pipeline.errors import UsageError
from import_pipeline.settings import load_settings


def test_the_command_is_named_as_it_can_be_typed_here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    scripts = Path(sys.executable).parent
    monkeypatch.setenv("PATH", str(scripts))
    assert script_path() == SCRIPT
    monkeypatch.setenv("PATH", str(tmp_path))
    assert script_path() == str(scripts / SCRIPT)
    monkeypatch.chdir(scripts.parent)
    assert script_path() == f"{scripts.name}/{SCRIPT}"


@pytest.mark.parametrize("listed", ["[]", "[OwnItems()]"])
def test_the_demo_imports_the_example_and_no_source_of_ones_own(listed, home, tmp_path, monkeypatch):
    require_example_source(load_settings({}))
    text = (
        f"from import_pipeline.sources.items import ItemsSource\nclass OwnItems(ItemsSource): pass\nSOURCES = {listed}"
    )
    (tmp_path / "listed_for_demo.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "listed_for_demo", raising=False)
    with pytest.raises(UsageError, match=r"^the example items is not listed here: unset IMPORT_PIPELINE_SOURCES for"):
        require_example_source(load_settings({"IMPORT_PIPELINE_SOURCES": "listed_for_demo:SOURCES"}))
