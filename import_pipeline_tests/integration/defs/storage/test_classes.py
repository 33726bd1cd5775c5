"""The log lines of Dagster's storage while a command uses it, with and without handlers at the root logger."""

import logging

from import_pipeline.defs.storage.classes import translating_errors
from import_pipeline.settings import load_settings

LIBRARY = logging.getLogger("library")


def test_lines_without_a_handler_are_printed_as_python_prints_them(home, monkeypatch, capsys):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    with translating_errors(load_settings()):
        LIBRARY.info("Too little.")
        LIBRARY.warning("Theirs.")
    assert (capsys.readouterr().err, root.handlers) == ("Theirs.\n", [])


def test_lines_with_a_handler_go_there_only(home, monkeypatch, capsys):
    heard, ear = [], logging.Handler()
    monkeypatch.setattr(ear, "emit", heard.append)
    monkeypatch.setattr(LIBRARY, "handlers", [ear])
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with translating_errors(load_settings()):
        LIBRARY.getChild("child").warning("Theirs.")
    assert (len(heard), capsys.readouterr().err) == (1, "")
