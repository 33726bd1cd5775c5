"""The files that `new-source` writes, and the names that it refuses."""

import importlib.util

import pytest

from import_pipeline.cli.new_source import pytest_hint, write_source
from import_pipeline.errors import UsageError

NAME = "expected at most 50 lowercase letters, digits and underscores, such as orders"
REFUSED = [
    ("", f"'': {NAME}"),
    ("Orders", f"'Orders': {NAME}"),
    ("2orders", f"'2orders': {NAME}"),
    ("my-orders", f"'my-orders': {NAME}"),
    ("../orders", f"'../orders': {NAME}"),
    ("class", "class is a Python keyword: choose another name, such as class_source"),
    ("o" * 51, f"'{'o' * 51}': {NAME}"),
    ("panel", "panel: its setting PANEL_TOKEN already means something else; choose another name"),
    ("json", "json: an installed module has this name; choose another one, such as json_source"),
    ("httpx", "httpx: an installed module has this name; choose another one, such as httpx_source"),
]


@pytest.mark.parametrize(("name", "sentence"), REFUSED)
def test_a_name_that_will_not_do_is_refused_and_nothing_is_written(tmp_path, name, sentence):
    with pytest.raises(UsageError) as refused:
        write_source(name, tmp_path)
    assert str(refused.value) == sentence
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["late_orders.py", "test_late_orders.py"])
def test_nothing_is_overwritten(tmp_path, there):
    (tmp_path / there).write_text("mine")
    with pytest.raises(UsageError, match=f"^{there} exists already and is not overwritten: "):
        write_source("late_orders", tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "mine")]


def test_a_folder_that_cannot_be_written_is_reported(tmp_path):
    with pytest.raises(UsageError, match=r"late_orders\.py cannot be written: No such file or directory$"):
        write_source("late_orders", tmp_path / "nowhere")


def test_the_file_bears_the_name_everywhere(tmp_path):
    source, test = write_source("late_orders", tmp_path)
    assert (source.name, test.name) == ("late_orders.py", "test_late_orders.py")
    assert "class LateOrdersSource(ImportSource):" in source.read_text()
    assert "SOURCES = [LateOrdersSource()]" in source.read_text()
    assert "from late_orders import LateOrdersSource" in test.read_text()
    assert "$" not in source.read_text() + test.read_text()


def test_the_source_names_its_paginator_and_not_the_older_hook(tmp_path):
    source, _ = write_source("late_orders", tmp_path)
    assert 'pages = PageNumber(last="last_page")' in source.read_text()
    assert "has_next_page" not in source.read_text()


def test_a_declared_source_is_written_with_a_test_that_passes(tmp_path, monkeypatch):
    source, test = write_source("late_orders", tmp_path, is_declared=True)
    assert (source.name, test.name) == ("late_orders.yaml", "test_late_orders.py")
    spec = importlib.util.spec_from_file_location("test_late_orders", test)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.SOURCE.declared_in == str(source)
    module.test_every_item_is_imported(tmp_path)


@pytest.mark.parametrize("there", ["late_orders.yaml", "test_late_orders.py"])
def test_a_declared_source_overwrites_nothing_either(tmp_path, there):
    (tmp_path / there).write_text("mine")
    with pytest.raises(UsageError, match=f"^{there} exists already and is not overwritten: "):
        write_source("late_orders", tmp_path, is_declared=True)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "mine")]


def test_the_hint_names_how_to_install_pytest_only_if_it_is_absent(tmp_path):
    assert pytest_hint(tmp_path) == pytest_hint(tmp_path, is_installed=True) == ""
    assert pytest_hint(tmp_path, is_installed=False) == "  # install pytest first: pip install pytest"
    for name in ("Makefile", "pyproject.toml"):
        (tmp_path / name).touch()
    assert pytest_hint(tmp_path, is_installed=False) == f"  # install pytest first: make -C {tmp_path} install"
