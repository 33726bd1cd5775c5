"""A first list page that does not exist is named by its request, and by what to check."""

import httpx
import pytest

from import_pipeline import run_import
from import_pipeline.cli import doctor_source
from import_pipeline.errors import ImportPipelineError
from import_pipeline.importer.control.plan import plan_import
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.source_loader import configure
from import_pipeline.sources.items import ItemsSource
from import_pipeline_tests.support.imports import demo_api, settings

SECRET = "a-very-secret-word"


class KeyInAddress(ItemsSource):
    """A source whose list request carries a key."""

    def list_request(self, page, per_page):
        return httpx.Request("GET", f"/nowhere?page={page}&api_key={SECRET}")


def run(configured, source):
    return run_import("items", settings=configured, sources=[source]).failure_reason


def plan(configured, source):
    with (
        open_installation(configured, configure([source], configured)) as installation,
        pytest.raises(ImportPipelineError) as raised,
    ):
        plan_import(installation, installation.source("items"))
    return str(raised.value)


def doctor(configured, source):
    with pytest.raises(ImportPipelineError) as raised:
        doctor_source.source(configured, *configure([source], configured))
    return str(raised.value)


@pytest.mark.parametrize("command", [run, plan, doctor])
def test_the_request_and_the_settings_to_check_are_named(home, command):
    with demo_api(items=3) as url:
        reason = command(settings(home, url), KeyInAddress())
    assert reason == (
        f"list page 1: GET {url}/nowhere?page=1&api_key=*** answers 404 Not Found: "
        "check ITEMS_BASE_URL and list_request"
    )
