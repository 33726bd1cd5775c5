"""One class, many tenants: each has its own name, settings, limits and tables of tracking."""

import pytest

from import_pipeline import ImportSource
from import_pipeline.errors import ContractError, SettingError, SourceNotFound
from import_pipeline.importer.access.connector import connector_of
from import_pipeline.importer.source_loader import configure, load_each
from import_pipeline.settings import load_settings
from import_pipeline.sources.items import ItemsSource


class Account(ItemsSource):
    """A source whose own constructor takes more than a name."""

    def __init__(self, tenant, region):
        super().__init__(name=f"items_{tenant}")
        self.region = region


TENANTS = [ItemsSource(), ItemsSource(name="items_acme"), ItemsSource(name="items_beta"), Account("gamma", "eu")]
NOT_LISTED = "not a source"
BROKEN = [ItemsSource(name="items_acme"), NOT_LISTED, ItemsSource(name="items_beta"), ItemsSource(name="bad name")]
TWICE = [ItemsSource(name="items_acme"), ItemsSource(name="ITEMS_ACME"), ItemsSource()]


def configured(tmp_path, sources=TENANTS, **environment):
    settings = load_settings({"IMPORT_PIPELINE_HOME": str(tmp_path), **environment}, tmp_path)
    return settings, {source.name: source for source in configure(sources, settings)}


def test_each_tenant_has_its_name_and_the_class_keeps_its_own(tmp_path):
    _, sources = configured(tmp_path)
    assert list(sources) == ["items", "items_acme", "items_beta", "items_gamma"]
    assert {name: source.api for name, source in sources.items()} == {name: name for name in sources}
    assert ItemsSource.name == ItemsSource().name == "items"
    assert [source.family for source in sources.values()] == [None, "items", "items", "items"]
    assert sources["items_gamma"].region == "eu"


def test_a_tenant_without_a_value_of_its_own_has_that_of_its_class(tmp_path):
    _, sources = configured(
        tmp_path, ITEMS_PER_PAGE="7", ITEMS_ACME_PER_PAGE="9", ITEMS_BASE_URL="https://a.test", ITEMS_BETA_SLOTS="4"
    )
    assert {name: source.per_page for name, source in sources.items()} == {
        "items": 7,
        "items_acme": 9,
        "items_beta": 7,
        "items_gamma": 7,
    }
    assert sources["items_beta"].base_url == "https://a.test"
    assert (sources["items_beta"].slots, sources["items_acme"].slots) == ("4", ItemsSource.slots)


def test_a_token_belongs_to_one_tenant_only(tmp_path):
    settings, sources = configured(tmp_path, ITEMS_TOKEN="of-the-class-itself", ITEMS_ACME_TOKEN="of-acme-alone")
    sent = {name: connector_of(source, settings).headers.get("Authorization") for name, source in sources.items()}
    assert sent == {
        "items": "Bearer of-the-class-itself",
        "items_acme": "Bearer of-acme-alone",
        "items_beta": None,
        "items_gamma": None,
    }


def test_a_secret_belongs_to_one_tenant_only(tmp_path):
    settings, sources = configured(tmp_path, ITEMS_CLIENT_SECRET="of-the-class", ITEMS_ACME_CLIENT_SECRET="of-acme")
    assert sources["items_acme"].own_settings(settings).secret("CLIENT_SECRET") == "of-acme"
    with pytest.raises(SettingError, match=r"^ITEMS_BETA_CLIENT_SECRET: "):
        sources["items_beta"].own_settings(settings).secret("CLIENT_SECRET")


def test_limits_are_those_of_each_tenant_unless_they_share_an_api(tmp_path):
    class Shared(ItemsSource):
        api = "vendor"

    _, sources = configured(
        tmp_path,
        [Shared(name="one"), Shared(name="two"), ItemsSource(name="three")],
        ONE_LIMITS="5/1 second",
        THREE_LIMITS="7/1 second",
    )
    assert [source.api for source in sources.values()] == ["vendor", "vendor", "three"]
    assert sources["three"].limits == "7/1 second"


@pytest.mark.parametrize(("variable", "value"), [("ITEMS_ACME_LIMITS", "many"), ("ITEMS_LIMITS", "many")])
def test_an_error_names_the_variable_that_is_wrong(tmp_path, variable, value):
    with pytest.raises(SettingError) as caught:
        configured(tmp_path, [ItemsSource(name="items_acme")], **{variable: value})
    assert caught.value.name == variable


def test_the_error_for_a_name_that_is_taken_shows_how_to_give_another(tmp_path):
    with pytest.raises(ContractError) as caught:
        configured(tmp_path, [ItemsSource(), ItemsSource()])
    assert str(caught.value) == (
        "items.name: expected a unique name, got the name of two sources. Give each tenant of a class its own, such as "
        'ItemsSource(name="items_acme")'
    )


def test_a_source_without_any_name_is_refused(tmp_path):
    class Nameless(ItemsSource):
        name = None

    with pytest.raises(ContractError, match=r"^Nameless\.name: expected at most 100 of the letters"):
        configured(tmp_path, [Nameless()])
    assert configured(tmp_path, [Nameless(name="named")])[1]["named"].family is None


def test_one_bad_source_leaves_the_others_usable(tmp_path):
    settings = load_settings(
        {
            "IMPORT_PIPELINE_HOME": str(tmp_path),
            "IMPORT_PIPELINE_SOURCES": f"{__name__}:BROKEN",
            "ITEMS_BETA_SLOTS": "25",
        },
        tmp_path,
    )
    sources, errors = load_each(settings)
    assert [source.name for source in sources] == ["items_acme"]
    assert {name: type(error).__name__ for name, error in errors.items()} == {
        "source 2 of the list": "ContractError",
        "items_beta": "SettingError",
        "bad name": "ContractError",
    }


def test_of_two_sources_with_one_name_neither_runs(tmp_path):
    settings = load_settings(
        {"IMPORT_PIPELINE_HOME": str(tmp_path), "IMPORT_PIPELINE_SOURCES": f"{__name__}:TWICE"}, tmp_path
    )
    sources, errors = load_each(settings)
    assert ([source.name for source in sources], sorted(errors)) == (["items"], ["ITEMS_ACME", "items_acme"])


def test_a_list_that_cannot_be_loaded_is_still_an_error(tmp_path):
    settings = load_settings({"IMPORT_PIPELINE_HOME": str(tmp_path), "IMPORT_PIPELINE_SOURCES": "nowhere:X"}, tmp_path)
    with pytest.raises(SourceNotFound):
        load_each(settings)


def test_the_name_is_an_argument_of_every_source():
    assert issubclass(ItemsSource, ImportSource)
    with pytest.raises(TypeError):
        ItemsSource("items_acme")
