"""The notes of `doctor`."""

import pytest

from import_pipeline.cli.doctor_checks import duplicates, misspelled, silence, skew
from import_pipeline.ratelimit.stores.redis_health import RedisState, warnings

SOUND = {
    "seconds": 0.0,
    "evicts": False,
    "policy": "noeviction",
    "appends": True,
    "save": "3600 1",
    "replicated": False,
}


@pytest.mark.parametrize(
    ("theirs", "note"),
    [
        (None, None),
        (1001.9, None),
        (998.1, None),
        (1300.0, "this machine's clock is 300 s behind Redis's:"),
        (990.0, "this machine's clock is 10 s ahead of Redis's:"),
    ],
)
def test_a_note_names_the_clock_that_is_ahead(theirs, note):
    found = skew(theirs, 1000.0, "Redis's")
    assert (found == []) if note is None else found[0].startswith(note)


@pytest.mark.parametrize(
    ("state", "mended_by"),
    [
        ({}, []),
        ({"evicts": True, "policy": "allkeys-lru"}, ["set it to noeviction"]),
        ({"appends": False, "save": ""}, ["set appendonly to yes"]),
        ({"appends": False}, []),
        ({"appends": False, "save": None}, []),
        ({"replicated": True}, ["name the primary in REDIS_URL"]),
    ],
)
def test_a_note_on_a_redis_that_may_lose_data_says_how_to_fix_it(state, mended_by):
    found = warnings(RedisState(**SOUND | state))
    assert len(found) == len(mended_by)
    assert all(part in note for note, part in zip(found, mended_by, strict=True))


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("ITEMS_LIMIT", "ITEMS_LIMITS"),
        ("ITEM_TOKEN", "ITEMS_TOKEN"),
        ("ITEMS_BACKOFFS", "ITEMS_BACKOFF"),
        ("DATABSE_URL", "DATABASE_URL"),
    ],
)
def test_a_misspelled_setting_is_noted(variable, meant):
    [note] = misspelled([variable, "PATH", "ITEMS_TRIES"], ["items"])
    assert note == f"{variable} is set, but there is no such setting. Did you mean {meant}?"


def test_settings_and_foreign_variables_are_not_noted():
    others = [
        "PATH",
        "HOME",
        "DAGSTER_HOME",
        "ORDERS_LIMITS",
        "ITEMS_EU_TRIES",
        "ITEMS_LIMITS",
        "PGPASSWORD",
        "PANEL_HOSTS",
        "ITEMS_CLIENT_SECRET",
        "A_LONG_NAME_OF_A_SOURCE_PAT_TOKEN",
    ]
    assert misspelled(others, ["items", "orders", "items_eu", "a_long_name_of_a_source"]) == []


def test_a_variable_set_twice_in_env_is_noted_with_lines_but_not_values(tmp_path):
    file = tmp_path / ".env"
    assert duplicates(file) == []
    file.write_text(
        "# ITEMS_TOKEN=none\n\nITEMS_TOKEN=secret-one\nPANEL_PORT=3001\n\n\nexport ITEMS_TOKEN='secret\ntwo'\n"
        "ITEMS_TRIES=1\nITEMS_TOKEN=secret-three\n"
    )
    assert duplicates(file) == [
        f"ITEMS_TOKEN is set 3 times in {file}, in lines 3, 7, 10: the last one counts. Delete the others"
    ]


@pytest.mark.parametrize(
    ("heard_at", "note"),
    [
        (None, "no Dagster daemon is running"),
        (1000.0, None),
        (940.0, None),
        (939.0, "no Dagster daemon is running: the last heartbeat is 1 min old"),
        (700.0, "no Dagster daemon is running: the last heartbeat is 5 min old"),
    ],
)
def test_a_daemon_is_silent_after_a_minute(heard_at, note):
    assert silence(heard_at, 1000.0) == note
