"""The status filter of `list`."""

import json
from datetime import timedelta

import pytest

from import_pipeline.cli import main
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.lifecycle.take_over import lease_of, start_or_take_over
from import_pipeline.rules.status import DISPLAY_STATUSES, Trigger
from import_pipeline.tracking import imports, transitions
from import_pipeline.tracking.workers import Worker

FORMER = Worker(id="former", host="elsewhere", pid=1)


def test_every_displayed_status_is_a_filter(home, capsys):
    """No row holds the status `no worker`."""
    with open_installation() as installation:
        source, now = installation.source("items"), installation.clock.now()
        with installation.database.write() as connection:
            left = imports.create(connection, new_import(source, Trigger.CLI), now)
            later = new_import(source, Trigger.REQUEST, scheduled_at=now + timedelta(hours=1))
            planned = imports.create(connection, later, now)
        row = start_or_take_over(installation.database, source, left.id, FORMER, installation.clock, None)
        with installation.database.write() as connection:
            transitions.release(connection, lease_of(row, source, FORMER), now)
    found = {}
    for status in DISPLAY_STATUSES:
        with pytest.raises(SystemExit) as ended:
            main(["list", "--status", status, "--json"])
        said = json.loads(capsys.readouterr().out)
        found[status] = (ended.value.code, [each["import_id"] for each in said["imports"]])
    nothing = (0, [])
    assert found == dict.fromkeys(DISPLAY_STATUSES, nothing) | {
        "scheduled": (0, [planned.id]),
        "running": (0, [left.id]),
        "no worker": (0, [left.id]),
    }


def test_a_source_that_no_database_could_store_is_unknown(home, capsys):
    """A terminal with another character set gives halves of characters."""
    with pytest.raises(SystemExit) as ended:
        main(["list", "--source", "caf\udce9"])
    assert (ended.value.code, "no such source; known sources: items" in capsys.readouterr().err) == (2, True)
