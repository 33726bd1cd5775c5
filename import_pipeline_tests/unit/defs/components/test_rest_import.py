"""`import_pipeline.RestImport`: attributes become definitions, a schema and a file to fill in."""

from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import ValidationError

import import_pipeline
from import_pipeline.dagster import RestImport
from import_pipeline.declarative.words import Declaration
from import_pipeline.defs.components.scaffolder import Answers, RestImportScaffolder
from import_pipeline.errors import ContractError

LEAST = {"name": "orders", "list": "/orders", "pages": "one_page"}


@pytest.fixture(autouse=True)
def settings(home, monkeypatch):
    monkeypatch.setenv("IMPORT_PIPELINE_HOME", str(home))
    monkeypatch.setenv("CRM_URL", "https://crm.test")


def definitions(**attributes):
    with dg.DagsterInstance.ephemeral():
        component = RestImport.from_attributes_dict(attributes=LEAST | attributes)
        return component.build_defs(SimpleNamespace())


def problems(**attributes):
    schema = RestImport.get_model_cls().model_json_schema()
    return [error.message for error in Draft202012Validator(schema).iter_errors(LEAST | attributes)]


def test_attributes_become_the_definitions_of_a_source():
    found = definitions(group_name="crm", asset_key_prefix="raw", tags={"team": "crm"}, owners=["team:crm"])
    graph = found.resolve_asset_graph()
    keys = {dg.AssetKey(["raw", "discovered_orders"]), dg.AssetKey(["raw", "enriched_orders"])}
    assert set(graph.get_all_asset_keys()) == keys
    assert {graph.get(key).group_name for key in keys} == {"crm"}
    assert {tuple(graph.get(key).owners) for key in keys} == {("team:crm",)}
    assert found.resolve_job_def("import_orders").name == "import_orders"
    assert [each.name for each in found.sensors or []] == ["orders_sensor"]


def test_templates_are_replaced_before_the_words_are_read():
    component = RestImport.from_attributes_dict(
        attributes=LEAST | {"base_url": "{{ env.CRM_URL }}/v2", "per_page": "{{ 5 * 4 }}", "pages": "{{ 'one_page' }}"}
    )
    assert (component.source.base_url, component.source.per_page) == ("https://crm.test/v2", 20)


def test_a_translation_changes_both_assets():
    translation = {"key": "{{ source.name }}/{{ spec.key.path[-1] }}", "group_name": "moved"}
    graph = definitions(translation=translation).resolve_asset_graph()
    assert set(graph.get_all_asset_keys()) == {
        dg.AssetKey(["orders", "discovered_orders"]),
        dg.AssetKey(["orders", "enriched_orders"]),
    }


def test_the_tables_of_all_imports_are_assets_if_one_component_says_so():
    graph = definitions(tracking_assets=True).resolve_asset_graph()
    assert {dg.AssetKey("imports"), dg.AssetKey("import_item_statuses")} <= set(graph.get_all_asset_keys())


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"pages": "{{ 'no_such' }}"}, r"orders\.pages: expected one of page_number"),
        ({"detail": "/orders"}, r"orders\.detail: expected a request that names the item"),
        ({"limits": "fast"}, r"orders\.limits: expected tiers"),
    ],
)
def test_a_mistake_is_a_sentence(wrong, sentence):
    with pytest.raises(ContractError, match=sentence):
        definitions(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"lits": "/x"}, {"per_page": "many"}, {"columns": {"a": 5}}, {"list": {"method": 1}}]
)
def test_the_schema_and_the_model_refuse_the_same(wrong):
    assert problems(**wrong)
    with pytest.raises(ValidationError):
        RestImport.get_model_cls().model_validate(LEAST | wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"list": {"path": "/x", "method": "get"}}, "'get' is not one of ['GET', 'POST', 'PUT', 'QUERY']"),
        ({"list": 5}, "5 is not of type 'string', 'object'"),
        ({"pages": "cursr"}, "'cursr' does not match"),
        ({"pages": {"type": "cursor", "nxt": "a"}}, "'nxt' was unexpected"),
        ({"auth": {"type": "beaer"}}, "'beaer' is not one of ['bearer',"),
        ({"slices": {"start": "2024-01-01", "every": "mnth"}}, "'mnth' is not one of ['day',"),
        ({"detail": {"path": "/x", "itm": "a"}}, "'itm' was unexpected"),
        ({"backoff": 30}, "30 is not of type 'array'"),
    ],
)
def test_the_schema_names_the_mistake_and_not_only_that_no_alternative_fits(wrong, said):
    assert [problem for problem in problems(**wrong) if said in problem]


@pytest.mark.parametrize(
    "right",
    [
        {},
        {"columns": {"a": "b", "c": {"path": "d", "type": "numeric(12, 2)"}}, "detail": "/orders/{id}"},
        {"pages": {"type": "cursor", "next": "a.b", "param": "c", "where": "json"}, "per_page": "{{ env.SIZE }}"},
        {"list": {"path": "/orders", "params": {"a": [1, "b"], "c": True}}, "partitions": 500, "backoff": [1, 2]},
        {"asset_key_prefix": ["a", "b"], "translation": {"group_name": "x"}, "id": {"path": "key", "type": "integer"}},
    ],
)
def test_the_schema_takes_the_words(right):
    assert problems(**right) == []
    assert RestImport.get_model_cls().model_validate(LEAST | right)


def test_every_word_has_a_description():
    properties = RestImport.get_model_cls().model_json_schema()["properties"]
    assert [name for name, each in properties.items() if not each.get("description")] == []
    assert properties.keys() >= Declaration.model_fields.keys()


def test_dg_finds_the_component_under_its_short_name():
    assert "RestImport" in dir(import_pipeline)
    assert import_pipeline.RestImport is RestImport


@pytest.mark.parametrize(
    ("folder", "name"), [("orders", "orders"), ("My-Orders", "my_orders"), ("2030", "source_2030")]
)
def test_the_scaffolded_file_is_a_source_that_loads(tmp_path, capsys, folder, name):
    target = tmp_path / "src" / "shop" / "defs" / folder
    target.mkdir(parents=True)
    request = dg.ScaffoldRequest(
        type_name="import_pipeline.RestImport",
        target_path=target,
        scaffold_format="yaml",
        project_root=tmp_path,
        params=Answers(base_url="https://a.test/?#"),
    )
    RestImportScaffolder().scaffold(request)
    written = yaml.safe_load((target / "defs.yaml").read_text())
    assert (written["type"], written["attributes"]["name"]) == ("import_pipeline.RestImport", name)
    assert written["attributes"]["base_url"] == "https://a.test/?#"
    assert problems(**written["attributes"]) == []
    assert "IMPORT_PIPELINE_SOURCES=src/shop/defs/**/defs.yaml" in capsys.readouterr().out


def test_further_sources_are_appended_and_python_is_dagsters_own(tmp_path):
    def scaffold(**changes):
        given = {"type_name": "import_pipeline.RestImport", "target_path": tmp_path, "scaffold_format": "yaml"}
        request = dg.ScaffoldRequest(**given | {"project_root": None, "params": Answers()} | changes)
        RestImportScaffolder().scaffold(request)

    scaffold()
    scaffold(append=True)
    assert len(list(yaml.safe_load_all((tmp_path / "defs.yaml").read_text()))) == 2
    scaffold(scaffold_format="python")
    assert "def load(context: dg.ComponentLoadContext) -> RestImport" in Path(tmp_path, "component.py").read_text()


@pytest.mark.parametrize(
    ("wrong", "place", "said"),
    [
        ({"verison": "at"}, "verison", "unknown key verison; did you mean version?"),
        ({"translaton": "x"}, "translaton", "unknown key translaton; did you mean translation?"),
        ({"list": {"paht": "/x"}}, "paht", "unknown key paht; did you mean path?"),
        ({"columns": {"a": {"path": "a", "typ": "text"}}}, "typ", "unknown key typ; did you mean type?"),
        ({"answers": [{"statsu": 4, "action": "fail"}]}, "statsu", "unknown key statsu; did you mean status?"),
        ({"token": "planted"}, "token", "unknown key token; use `auth` instead"),
        ({"pages": {"type": "cursor", "nxt": "a"}}, "pages", "unknown key nxt; did you mean next? cursor takes next,"),
        ({"zzz": 1}, "zzz", "unknown key zzz; the known keys are name, base_url,"),
    ],
)
def test_the_model_names_the_near_word_and_the_place_of_an_unknown_key(wrong, place, said):
    with pytest.raises(ValidationError) as caught:
        RestImport.get_model_cls().model_validate(LEAST | wrong)
    lines = [each for each in caught.value.errors() if said in each["msg"]]
    assert lines[0]["loc"][-1] == place
    again = ValidationError.from_exception_data("in a file", lines)  # as Dagster adds the line of the file
    assert said in str(again)
