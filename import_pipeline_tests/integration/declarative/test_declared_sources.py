"""The demo API, declared in YAML: the same rows as with the class, on both databases."""

import pytest

from import_pipeline import run_import
from import_pipeline.importer.source_loader import load_sources
from import_pipeline.settings import load_settings
from import_pipeline_tests.support.imports import FREE, counts, demo_api, rows

ITEMS = """\
name: things
list: /api/items
items: data
version: updated_at
total: total
pages: {type: page_number, size: perPage, last: last_page}
detail: /api/items/{id}
columns:
  name: name
  description: description
  price: {path: price, type: "numeric(12, 2)"}
  source_created_at: {path: created_at, type: datetime}
  source_updated_at: {path: updated_at, type: datetime}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "things.yaml").write_text(ITEMS)
    return tmp_path


def test_yaml_and_class_give_the_same_rows(folder, home, database_url):
    with demo_api(items=25) as url:
        environment = {
            "IMPORT_PIPELINE_HOME": str(home),
            "IMPORT_PIPELINE_SOURCES": "things.yaml, import_pipeline.sources:SOURCES",
            "DATABASE_URL": database_url,
        }
        for name in ("THINGS", "ITEMS"):
            environment |= {f"{name}_BASE_URL": url, f"{name}_LIMITS": FREE, f"{name}_PER_PAGE": "10"}
        settings = load_settings(environment, folder)
        declared, written = (run_import(name, settings=settings) for name in ("things", "items"))
        assert counts(declared) == counts(written) == ("completed", 25, 25, 0, 0)
        things, items = (source.model for source in load_sources(settings))
        stored, expected = (
            {key: {**row, "id": None} for key, row in rows(settings, model).items()} for model in (things, items)
        )
        assert stored == expected
        assert len(stored) == 25
        assert run_import("things", settings=settings).items_unchanged_count == 25
