"""YAML files of sources: alone, beside Python's lists, as Dagster's defs.yaml; what is wrong names the file."""

import pytest

from import_pipeline.errors import ContractError, SourceNotFound
from import_pipeline.importer.source_list import load_listed
from import_pipeline.importer.source_loader import load_sources
from import_pipeline.settings import load_settings

ORDERS = """\
name: orders
base_url: https://api.test
list: /orders
pages: one_page
slots: 09:30,12:00
columns:
  at: {path: created, type: datetime}
"""
DEFS = """\
type: import_pipeline.RestImport
attributes:
  name: customers
  base_url: "{{ env.CRM_URL }}"
  list: {path: /customers, params: {since: 2030-01-31, active: on}}
  pages: {type: cursor, next: next, param: after}
---
type: dagster.DefsFolderComponent
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "orders.yaml").write_text(ORDERS)
    (tmp_path / "defs" / "crm").mkdir(parents=True)
    (tmp_path / "defs" / "crm" / "defs.yaml").write_text(DEFS)
    monkeypatch.setenv("CRM_URL", "https://crm.test")
    return tmp_path


def write(folder, text):
    (folder / "sources" / "orders.yaml").write_text(text)


def test_files_and_lists_stand_side_by_side(folder):
    listed = "sources/*.yaml, defs/**/defs.yaml, import_pipeline.sources:SOURCES"
    settings = load_settings(
        {"IMPORT_PIPELINE_HOME": str(folder), "IMPORT_PIPELINE_SOURCES": listed, "ORDERS_LIMITS": "5/1 second"}, folder
    )
    orders, customers, items = load_sources(settings)
    assert [orders.name, customers.name, items.name] == ["orders", "customers", "items"]
    assert (orders.limits, orders.slots) == ("5/1 second", "09:30,12:00")
    assert customers.base_url == "https://crm.test"
    assert str(customers.list_request().url) == "/customers?since=2030-01-31&active=on"


def test_a_file_that_did_not_change_keeps_its_row_class(folder):
    [one], [other] = load_listed("sources/orders.yaml"), load_listed(f"{folder}/sources/orders.yaml")
    [again] = load_listed("sources/orders.yaml")
    assert one.model is again.model
    assert other.name == "orders"
    write(folder, ORDERS.replace("created", "created_at"))
    [changed] = load_listed("sources/orders.yaml")
    assert changed.model is not one.model


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        (
            ORDERS.replace("list:", "lits:"),
            ContractError,
            r"orders\.yaml: orders\.lits: unknown key lits; did you mean list\?$",
        ),
        (
            "- a",
            ContractError,
            r"orders\.yaml: expected a mapping with name, list, pages \.\.\., got a list; write",
        ),
        (
            "type: import_pipeline.RestImport\natributes: {}",
            ContractError,
            r"orders\.yaml: atributes: unknown key atributes; did you mean attributes\?$",
        ),
        ("a: [", SourceNotFound, r"orders\.yaml: the file cannot be read: .*line 1"),
        ("name: a\nname: b", SourceNotFound, r"the key name stands twice.*line 2"),
        ("", SourceNotFound, r"no source is declared in .*orders\.yaml"),
        ("type: other.Component", SourceNotFound, r"no source is declared in .*orders\.yaml"),
        (
            DEFS.replace("CRM_URL", "NO_URL"),
            ContractError,
            "expected a value of NO_URL in the environment or .env, got",
        ),
        (DEFS.replace("env.CRM_URL", "today()"), ContractError, r"expected \{\{ env\.NAME \}\}; others work in Dagst"),
    ],
)
def test_what_is_wrong_names_the_file(folder, text, error, sentence):
    write(folder, text)
    with pytest.raises(error, match=sentence):
        load_listed("sources/orders.yaml")


def test_a_file_that_is_missing_is_named(folder):
    with pytest.raises(SourceNotFound, match=r"no file nothing/\*\.yaml is found from"):
        load_listed("nothing/*.yaml")
    (folder / "sources" / "orders.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(SourceNotFound, match=r"orders\.yaml: the file cannot be read"):
        load_listed("sources/orders.yaml")
