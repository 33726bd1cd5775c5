"""What `up` tells the processes that it starts."""

import pytest

from import_pipeline.cli.up import dagster_home
from import_pipeline.settings import load_settings


@pytest.mark.parametrize("is_told", [True, False])
def test_dagsters_folder_has_the_name_that_dagster_finds_it_under(is_told, tmp_path, monkeypatch):
    """`export DAGSTER_HOME=$PWD` may go through a link, and so may the way to the current folder."""
    folder, link = tmp_path / "checkout", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    (folder / "dagster.yaml").touch()
    monkeypatch.chdir(link)
    if is_told:
        monkeypatch.setenv("DAGSTER_HOME", str(link))
    else:
        monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert dagster_home(load_settings({}, link)) == str(folder.resolve())
