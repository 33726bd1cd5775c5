"""Settings are read in one place, and an invalid one is one sentence."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from import_pipeline.errors import SettingError
from import_pipeline.settings import (
    SETTINGS,
    SOURCE_SETTINGS,
    Settings,
    SourceSettings,
    default_home,
    load_settings,
    variable_prefix,
)

ROOT = Path(__file__).parents[2]
SECRET = "planted-secret"

FOLDER = "a folder"
SOURCES = "module:NAME, such as my_sources:SOURCES, or YAML files, such as sources/*.yaml"
DATABASE = "postgresql://user:password@host/name or sqlite:///path"
REDIS = "redis://host:6379/0, rediss://…, unix://… or redis+cluster://host:6379,host:6379"
PORT = "a port from 1 to 65535"
BASE_URL = "an address such as https://api.example.com, with no query in it"
LIMITS = "tiers of up to a year such as '500/20 second; 2000/100 second; 20 concurrent', or the word none"
NUMBER = "a whole number from 1"
IN_FLIGHT = "a whole number from 1 to 1000"
SECONDS = "seconds above 0"
DAYS = "days above 0"
DELAYS = "seconds separated by commas, such as 30,60,120,240"
HIDDEN = "a value that is not shown"

HOOK = "an address such as https://hooks.example.com/imports"

BAD_VALUES = [
    ("ITEMS_NOTIFY_URL", "hooks.example.com/imports", HOOK, HIDDEN),
    ("ITEMS_NOTIFY_URL", "ftp://hooks.example.com", HOOK, HIDDEN),
    ("ITEMS_NOTIFY_URL", f"https://me:{SECRET}@hooks.example.com", HOOK, HIDDEN),
    ("ITEMS_NOTIFY_URL", "https://hooks.example.com:0/", HOOK, HIDDEN),
    ("ITEMS_NOTIFY_URL", "https://hooks.example.com/a b", HOOK, HIDDEN),
    ("IMPORT_PIPELINE_HOME", "a\0b", FOLDER, r"'a\x00b'"),
    ("IMPORT_PIPELINE_HOME", "~unknown-user/state", FOLDER, "'~unknown-user/state'"),
    ("IMPORT_PIPELINE_SOURCES", "my_sources", SOURCES, "'my_sources'"),
    ("IMPORT_PIPELINE_SOURCES", "my-sources:SOURCES", SOURCES, "'my-sources:SOURCES'"),
    ("IMPORT_PIPELINE_SOURCES", ".sources:SOURCES", SOURCES, "'.sources:SOURCES'"),
    ("IMPORT_PIPELINE_SOURCES", "sources/*.yaml,", SOURCES, "'sources/*.yaml,'"),
    ("IMPORT_PIPELINE_SOURCES", "my..sources:SOURCES", SOURCES, "'my..sources:SOURCES'"),
    ("DAGSTER_SCHEMA", "Mine", "the name of a schema, of lowercase letters, digits and underscores", "'Mine'"),
    ("DATABASE_URL", "items.db", DATABASE, HIDDEN),
    ("DATABASE_URL", "mysql://user@host/name", DATABASE, HIDDEN),
    ("DATABASE_URL", "postgresql+asyncpg://user@host/name", DATABASE, HIDDEN),
    ("DATABASE_URL", "postgresql://user@host:port/name", DATABASE, HIDDEN),
    ("DATABASE_URL", "postgresql://user@host", DATABASE, HIDDEN),
    ("DATABASE_URL", "sqlite://", DATABASE, HIDDEN),
    ("DATABASE_URL", "sqlite:///:memory:", DATABASE, HIDDEN),
    ("REDIS_URL", "localhost:6379", REDIS, HIDDEN),
    ("REDIS_URL", "redis://localhost:port", REDIS, HIDDEN),
    ("REDIS_URL", "redis+cluster://one:7000,two:0", REDIS, HIDDEN),
    ("REDIS_URL", "redis+cluster://one:7000/3", REDIS, HIDDEN),
    ("REDIS_URL", "redis+cluster://", REDIS, HIDDEN),
    ("REDIS_URL", "unix+cluster:///run/redis", REDIS, HIDDEN),
    ("SOURCE_API_PORT", "0", PORT, "'0'"),
    ("SOURCE_API_PORT", "http", PORT, "'http'"),
    ("DAGSTER_PORT", "65536", PORT, "'65536'"),
    ("DAGSTER_URL", "dagster.example.com", BASE_URL.replace("api.", "dagster."), "'dagster.example.com'"),
    ("IMPORT_PIPELINE_LOGS", "xml", "text or json", "'xml'"),
    ("DAGSTER_SENSORS", "two", "one or each", "'two'"),
    ("PANEL_USER_HEADER", "user name", "the name of a header, such as X-Forwarded-User", "'user name'"),
    ("PANEL_URL", "imports", "an address such as https://imports.example.com", "'imports'"),
    ("PANEL_HOST", "http://here", "a name or address to listen on, such as 127.0.0.1 or 0.0.0.0", "'http://here'"),
    ("PANEL_PORT", "-1", PORT, "'-1'"),
    ("PANEL_TOKEN", "short", "at least 16 letters, digits or signs without a space", HIDDEN),
    ("PANEL_TOKEN", "a token with some spaces", "at least 16 letters, digits or signs without a space", HIDDEN),
    ("PANEL_HOSTS", "a.example, b/c", "names separated by commas, such as imports.example.com", "'a.example, b/c'"),
    ("PANEL_USER_HEADER", "X User", "the name of a header, such as X-Forwarded-User", "'X User'"),
    ("ITEMS_BASE_URL", "api.example.com", BASE_URL, "'api.example.com'"),
    ("ITEMS_BASE_URL", "ftp://api.example.com", BASE_URL, "'ftp://api.example.com'"),
    ("ITEMS_BASE_URL", "http://", BASE_URL, "'http://'"),
    ("ITEMS_BASE_URL", f"http://me:{SECRET}@api.example.com:99999", BASE_URL, "'http://***@api.example.com:99999'"),
    ("ITEMS_BASE_URL", f"https://me:/{SECRET}@api.example.com", BASE_URL, "'https://***@api.example.com'"),
    ("ITEMS_BASE_URL", f"https://api.example.com/?key={SECRET}", BASE_URL, "'https://api.example.com/?***'"),
    ("ITEMS_BASE_URL", f"https://api.example.com/#{SECRET}", BASE_URL, "'https://api.example.com/#***'"),
    ("ITEMS_BASE_URL", "https://api example.com", BASE_URL, "'https://api example.com'"),
    ("ITEMS_TOKEN", "gehe\u00ebim", "a token of printable ASCII characters", HIDDEN),
    ("ITEMS_LIMITS", "500/20", LIMITS, "'500/20'"),
    ("ITEMS_LIMITS", "plenty", LIMITS, "'plenty'"),
    ("ITEMS_LIMITS", "0/second", LIMITS, "'0/second'"),
    ("ITEMS_LIMITS", "1/99999999999 day", LIMITS, "'1/99999999999 day'"),
    ("ITEMS_LIMITS", "1/367 day", LIMITS, "'1/367 day'"),
    ("ITEMS_LIMITS", "99999999999/day", LIMITS, "'99999999999/day'"),
    ("ITEMS_CONCURRENCY", "0", IN_FLIGHT, "'0'"),
    ("ITEMS_CONCURRENCY", "10000000", IN_FLIGHT, "'10000000'"),
    ("ITEMS_CONCURRENCY", "many", IN_FLIGHT, "'many'"),
    ("ITEMS_CEILING", "0", IN_FLIGHT, "'0'"),
    ("ITEMS_SHARDS", "101", "a whole number from 1 to 100", "'101'"),
    ("ITEMS_PER_PAGE", "-1", NUMBER, "'-1'"),
    ("ITEMS_PER_PAGE", "1.5", NUMBER, "'1.5'"),
    ("ITEMS_MAX_PAGES", "0", NUMBER, "'0'"),
    ("ITEMS_TIMEOUT", "0", SECONDS, "'0'"),
    ("ITEMS_TIMEOUT", "nan", SECONDS, "'nan'"),
    ("ITEMS_TIMEOUT", "inf", SECONDS, "'inf'"),
    ("ITEMS_MAX_BODY", "16M", NUMBER, "'16M'"),
    ("ITEMS_TRIES", "0", NUMBER, "'0'"),
    ("ITEMS_BACKOFF", "30;60", DELAYS, "'30;60'"),
    ("ITEMS_BACKOFF", "30,,60", DELAYS, "'30,,60'"),
    ("ITEMS_BACKOFF", "-1", DELAYS, "'-1'"),
    ("ITEMS_BACKOFF", "nan", DELAYS, "'nan'"),
    ("ITEMS_OVERLAP", "maybe", "true or false", "'maybe'"),
    ("ITEMS_LEASE", "1 minute", SECONDS, "'1 minute'"),
    ("ITEMS_WAIT", "-5", SECONDS, "'-5'"),
    ("ITEMS_MAX_OUTAGE", "0", SECONDS, "'0'"),
    ("ITEMS_PRUNE_DAYS", "0", DAYS, "'0'"),
    ("ITEMS_MAX_PAUSE", "1e12", SECONDS, "'1e12'"),
]


@pytest.mark.parametrize(("name", "value", "expected", "got"), BAD_VALUES)
def test_a_bad_value_names_variable_expectation_and_value_in_one_sentence(name, value, expected, got, tmp_path):
    with pytest.raises(SettingError) as refused:
        load_settings({name: value}, tmp_path).source("items")
    assert str(refused.value) == f"{name}: expected {expected}, got {got}"
    assert (refused.value.name, refused.value.expected) == (name, expected)


def test_every_setting_that_can_be_wrong_has_a_bad_value_above():
    declared = {setting.name for setting in SETTINGS} | {f"ITEMS_{setting.name}" for setting in SOURCE_SETTINGS}
    read_by_the_source = {"ITEMS_SLOTS", "ITEMS_TIME_ZONE"}  # see test_contracts.py
    assert declared - {name for name, *_ in BAD_VALUES} == read_by_the_source


def test_an_empty_environment_means_the_defaults(tmp_path):
    settings = load_settings({}, tmp_path)
    assert settings == Settings(
        home=tmp_path / ".import_pipeline",
        sources="import_pipeline.sources:SOURCES",
        database_url=f"sqlite:///{tmp_path}/.import_pipeline/import_pipeline.db",
        redis_url=None,
        source_api_port=8000,
        dagster_port=3000,
        environment={},
    )
    assert settings.source("items") == SourceSettings()
    assert not settings.is_postgres
    assert settings.limits_path == tmp_path / ".import_pipeline" / "limits.db"


def test_empty_values_count_as_absent(tmp_path):
    names = [setting.name for setting in SETTINGS] + [f"ITEMS_{setting.name}" for setting in SOURCE_SETTINGS]
    empty = load_settings(dict.fromkeys(names, "  "), tmp_path)
    assert (empty.home, empty.database_url) == (
        load_settings({}, tmp_path).home,
        load_settings({}, tmp_path).database_url,
    )
    assert empty.source("items") == SourceSettings()


def test_everything_can_be_set(tmp_path):
    environment = {
        "IMPORT_PIPELINE_HOME": str(tmp_path / "state"),
        "IMPORT_PIPELINE_SOURCES": "my_sources:SOURCES",
        "DATABASE_URL": "postgresql://user:p%23ss@host/name",
        "REDIS_URL": "redis://localhost:6379/0",
        "SOURCE_API_PORT": "8001",
        "DAGSTER_PORT": "3001",
        "DAGSTER_URL": "https://dagster.example.com/",
        "PANEL_URL": "https://imports.example.com/",
        "PANEL_HOST": "0.0.0.0",
        "PANEL_PORT": "3002",
        "PANEL_TOKEN": "sixteen-letters!",
        "PANEL_HOSTS": "Imports.example.com, 10.0.0.1",
        "ITEMS_BASE_URL": "https://api.example.com/v2/",
        "ITEMS_TOKEN": "the-token-of-items",
        "ITEMS_LIMITS": "50/2 second; 200/10 second",
        "ITEMS_CONCURRENCY": "4",
        "ITEMS_PER_PAGE": "15",
        "ITEMS_TIMEOUT": "2.5",
        "ITEMS_TRIES": "3",
        "ITEMS_BACKOFF": "0, 0.5,10",
        "ITEMS_OVERLAP": "No",
        "ITEMS_LEASE": "5",
        "ITEMS_WAIT": "1",
        "ITEMS_MAX_PAUSE": "60",
    }
    settings = load_settings(environment, tmp_path)
    assert settings == Settings(
        home=tmp_path / "state",
        sources="my_sources:SOURCES",
        database_url="postgresql+psycopg2://user:p%23ss@host/name",
        redis_url="redis://localhost:6379/0",
        source_api_port=8001,
        dagster_port=3001,
        dagster_url="https://dagster.example.com",
        panel_url="https://imports.example.com",
        panel_host="0.0.0.0",
        panel_port=3002,
        panel_token="sixteen-letters!",
        panel_hosts=("imports.example.com", "10.0.0.1"),
        environment=environment,
    )
    assert settings.is_postgres
    assert settings.source("items") == SourceSettings(
        base_url="https://api.example.com/v2",
        token="the-token-of-items",
        limits="50/2 second; 200/10 second",
        concurrency=4,
        per_page=15,
        timeout=2.5,
        tries=3,
        backoff=(0.0, 0.5, 10.0),
        overlap=False,
        lease=5.0,
        wait=1.0,
        max_pause=60.0,
    )


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, None),
        ({"SOURCE_API_PORT": "8001"}, "http://127.0.0.1:8001"),
        ({"SOURCE_API_PORT": "8001", "ITEMS_BASE_URL": " "}, "http://127.0.0.1:8001"),
        ({"SOURCE_API_PORT": "8001", "ITEMS_BASE_URL": "https://api.example.com"}, "https://api.example.com"),
        ({"SOURCE_API_PORT": "8001", "IMPORT_PIPELINE_SOURCES": "my_sources:SOURCES"}, None),
    ],
)
def test_the_example_looks_for_the_demo_api_where_that_serves(given, address, tmp_path):
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    assert load_settings({}, tmp_path).source("items").base_url == address


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("postgresql://user@host/name", "postgresql+psycopg2://user@host/name"),
        ("postgres://user@host:5432/name", "postgresql+psycopg2://user@host:5432/name"),
        ("postgresql+psycopg2://user@host/name", "postgresql+psycopg2://user@host/name"),
        ("postgresql:///name?host=/var/run", "postgresql+psycopg2:///name?host=/var/run"),
        ("sqlite:///items.db", "sqlite:///items.db"),
        ("sqlite:////tmp/items.db", "sqlite:////tmp/items.db"),
    ],
)
def test_a_database_is_reached_by_the_driver_that_dagster_uses_too(given, taken, tmp_path):
    assert load_settings({"DATABASE_URL": given}, tmp_path).database_url == taken


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("1", True),
        ("true", True),
        ("YES", True),
        ("on", True),
        ("0", False),
        ("False", False),
        ("no", False),
        ("off", False),
    ],
)
def test_a_flag_is_any_usual_word(word, meaning, tmp_path):
    assert load_settings({"ITEMS_OVERLAP": word}, tmp_path).source("items").overlap is meaning


@pytest.mark.parametrize(
    ("source", "prefix"),
    [("items", "ITEMS_"), ("line_items", "LINE_ITEMS_"), ("LineItems", "LINEITEMS_"), ("a-b", "A_B_")],
)
def test_settings_of_a_source_bear_its_name(source, prefix, tmp_path):
    assert variable_prefix(source) == prefix
    environment = {f"{prefix}PER_PAGE": "7", "OTHERS_PER_PAGE": "9"}
    assert load_settings(environment, tmp_path).source(source) == SourceSettings(per_page=7)


def test_a_bad_value_of_one_source_is_no_concern_of_another(tmp_path):
    settings = load_settings({"ORDERS_TRIES": "none"}, tmp_path)
    assert settings.source("items") == SourceSettings()
    with pytest.raises(SettingError, match="ORDERS_TRIES"):
        settings.source("orders")


def test_a_file_named_env_is_read_and_the_environment_wins(tmp_path):
    (tmp_path / ".env").write_text(
        "ITEMS_PER_PAGE=15\nITEMS_TRIES=2\nITEMS_LIMITS='5/second; 9/2 second'\nITEMS_TOKEN\n"
    )
    settings = load_settings({"ITEMS_TRIES": "3"}, tmp_path)
    assert settings.source("items") == SourceSettings(per_page=15, tries=3, limits="5/second; 9/2 second")


def test_a_bad_value_in_the_file_is_the_same_sentence(tmp_path):
    (tmp_path / ".env").write_text("DAGSTER_PORT=three thousand\n")
    with pytest.raises(SettingError) as refused:
        load_settings({}, tmp_path)
    assert str(refused.value) == f"DAGSTER_PORT: expected {PORT}, got 'three thousand'"


def test_the_process_s_own_environment_and_folder_are_the_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ITEMS_PER_PAGE", "16")
    (tmp_path / ".env").write_text("ITEMS_TRIES=2\n")
    assert load_settings().source("items") == SourceSettings(per_page=16, tries=2)


def test_state_lies_beside_the_nearest_dagster_yaml(tmp_path):
    inner = tmp_path / "project" / "inner"
    inner.mkdir(parents=True)
    assert default_home(inner) == inner / ".import_pipeline"
    (tmp_path / "project" / "dagster.yaml").touch()
    assert default_home(inner) == tmp_path / "project" / ".import_pipeline"
    assert load_settings({"DAGSTER_HOME": str(inner)}, tmp_path).home == tmp_path / "project" / ".import_pipeline"


@pytest.mark.parametrize(
    "environment",
    [
        {"DATABASE_URL": f"mysql://me:{SECRET}@host/name"},
        {"REDIS_URL": f"http://:{SECRET}@host"},
        {"ITEMS_BASE_URL": f"ftp://me:{SECRET}@host/path"},
        {"ITEMS_BASE_URL": f"https://{SECRET}@host:0"},
        {"ITEMS_NOTIFY_URL": f"https://me:{SECRET}@hooks.example.com/"},
        {"ITEMS_NOTIFY_URL": f"hooks.example.com/{SECRET}"},
    ],
)
def test_a_secret_is_in_no_error(environment, tmp_path):
    with pytest.raises(SettingError) as refused:
        load_settings(environment, tmp_path).source("items")
    assert SECRET not in str(refused.value)


def test_a_secret_is_in_no_repr(tmp_path):
    environment = {
        "DATABASE_URL": f"postgresql://me:{SECRET}@host/name",
        "REDIS_URL": f"redis://:{SECRET}@host",
        "PANEL_TOKEN": f"{SECRET}-{SECRET}",
        "ITEMS_TOKEN": SECRET,
        "ITEMS_NOTIFY_URL": f"https://hooks.example.com/{SECRET}?key={SECRET}",
    }
    settings = load_settings(environment, tmp_path)
    assert SECRET not in repr(settings) + repr(settings.source("items"))


def test_the_dataclasses_have_a_field_for_every_row_of_the_table():
    for_secrets = {"PREFIX", "ENVIRONMENT", "IS_REHEARSAL"}
    declared = {setting.name for setting in SOURCE_SETTINGS}
    assert {field.name.upper() for field in fields(SourceSettings)} == declared | for_secrets
    shared = {field.name for field in fields(Settings)} - {"environment", "is_rehearsal"}
    assert shared == {setting.name.lower().removeprefix("import_pipeline_") for setting in SETTINGS}


def test_the_page_of_settings_has_each_with_its_meaning_and_default():
    page = (ROOT / "docs" / "settings.md").read_text()
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+) \| (.+) \|$", page, re.MULTILINE)
    declared = [(setting.name, setting.meaning, setting.default) for setting in SETTINGS]
    declared += [(f"ITEMS_{setting.name}", setting.meaning, setting.default) for setting in SOURCE_SETTINGS]
    assert rows == declared


@pytest.mark.parametrize("name", ["a%20b", "a?b"])
def test_a_state_folder_that_a_databases_address_would_misread_is_refused(name, tmp_path):
    with pytest.raises(SettingError, match="no question mark and no escape such as %20"):
        load_settings({"IMPORT_PIPELINE_HOME": str(tmp_path / name)}, tmp_path)


@pytest.mark.parametrize("name", ["a b", "100%", "a#b", "ü"])
def test_other_odd_names_of_a_state_folder_are_taken(name, tmp_path):
    assert load_settings({"IMPORT_PIPELINE_HOME": str(tmp_path / name)}, tmp_path).home == tmp_path / name
