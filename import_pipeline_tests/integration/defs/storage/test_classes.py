"""Who hears what while Dagster's storage is used by a command, where nobody listens at the root."""

import logging

from import_pipeline.defs.storage.classes import translating_errors
from import_pipeline.settings import load_settings

SOMEBODY = logging.getLogger("somebody")


def test_what_nobody_listens_to_is_shown_as_python_shows_it(home, monkeypatch, capsys):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    with translating_errors(load_settings()):
        SOMEBODY.info("Too little.")
        SOMEBODY.warning("Theirs.")
    assert (capsys.readouterr().err, root.handlers) == ("Theirs.\n", [])


def test_what_somebody_listens_to_is_heard_there_only(home, monkeypatch, capsys):
    heard, ear = [], logging.Handler()
    monkeypatch.setattr(ear, "emit", heard.append)
    monkeypatch.setattr(SOMEBODY, "handlers", [ear])
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with translating_errors(load_settings()):
        SOMEBODY.getChild("child").warning("Theirs.")
    assert (len(heard), capsys.readouterr().err) == (1, "")
