"""Estimates, checks and displays only read: they create no table of the user's."""

import pytest
from sqlalchemy import create_engine, inspect

from import_pipeline.cli import main
from import_pipeline_tests.support.imports import demo_api, environment_of, settings
from import_pipeline_tests.support.panel_client import open_panel

COMMANDS = [["plan", "items"], ["doctor"], ["schedule", "items"], ["list"], ["resume", "items"], ["prune", "--yes"]]


def user_tables(configured):
    engine = create_engine(configured.database_url)
    found = inspect(engine).has_table("imported_items")
    engine.dispose()
    return found


@pytest.fixture(scope="module")
def url():
    with demo_api(items=5) as address:
        yield address


def test_no_command_that_reads_creates_a_table(home, url, monkeypatch, capsys):
    configured = settings(home, url)
    monkeypatch.chdir(home.parent)
    for name, value in environment_of(home, url).items():
        monkeypatch.setenv(name, value)
    for command in COMMANDS:
        with pytest.raises(SystemExit):
            main(command)
        said = capsys.readouterr()
        assert not user_tables(configured), command
        assert "Traceback" not in said.err
    with pytest.raises(SystemExit) as ended:
        main(["plan", "items", "--json"])
    assert (ended.value.code, '"items_count": 5' in capsys.readouterr().out) == (0, True)


@pytest.mark.anyio
async def test_no_page_of_the_panel_creates_a_table(home, url):
    async with open_panel(home, ITEMS_BASE_URL=url) as panel:
        for address in ("/", "/sources/items", "/item?id=1", "/run", "/metrics"):
            assert (await panel.get(address)).status_code == 200
        await panel.post("/sources/items/resume")
        assert not user_tables(panel.installation.settings)
