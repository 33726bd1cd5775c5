"""A strict API with its own ways of refusing, imported by the command: what it means decides, and nothing is lost."""

from import_pipeline_tests.acceptance.command_line import rows, tracking, words
from import_pipeline_tests.support.imports import served
from import_pipeline_tests.support.outspoken_api import PAGES, SIZE, OutspokenApi

SOURCES = "import_pipeline_tests.support.outspoken_api:SOURCES"
ITEMS = PAGES * SIZE
GONE = "SELECT external_id FROM source_items WHERE gone_at IS NOT NULL ORDER BY external_id"


def test_an_api_that_means_other_things_than_its_statuses_is_imported_without_a_refusal_of_ours(command, home):
    api = OutspokenApi()
    with served(api.app) as url:
        command.environment = {"IMPORT_PIPELINE_SOURCES": SOURCES, "THINGS_BASE_URL": f"{url}/v1"}
        planned = command.run("plan", "things", "--json").json
        summary = command.run("run", "things", "--json", status=3).json
        people, listed = command.run("show", "1"), command.run("list", "--json").json
        shown = command.run("show", "1", "--json").json
        doctor = command.run("doctor", status=None)
        gone = rows(tracking(home), GONE)  # now: the next import's list names them again
        api.is_expired = True
        stopped = command.run("run", "things", status=4)
    assert planned["limits"] == "60/1 second; /search: 5/1 second"
    assert (summary["items_imported_count"], summary["items_failed_count"]) == (ITEMS - 5, 1)
    assert (summary["items_gone_count"], summary["items_skipped_count"]) == (3, 1)
    assert (api.refused, summary["rate_limit_hits_count"]) == (0, 2)
    assert summary["requests_count"] == PAGES + ITEMS + 2
    assert [failure["reason"] for failure in shown["failures"]] == ["the account may not read it"]
    assert f"{ITEMS - 5} of {ITEMS} imported, 1 skipped, 3 gone, 1 failed" in words(people.out)
    assert listed["imports"][0]["items_gone_count"] == 3
    assert "limits 60/1 second; /search: 5/1 second" in words(doctor.out)
    assert stopped.err.splitlines()[-1] == "import-pipeline: things: import 2 failed: the subscription has expired"
    assert [row["external_id"] for row in gone] == ["11", "22", "33"]
    assert rows(tracking(home), "SELECT count(*) AS there FROM outspoken_things") == [{"there": ITEMS}]
