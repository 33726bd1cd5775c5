"""Invalid uses of `import-pipeline`: refused in one sentence, before anything is done."""

import pytest

NO_ID = "expected the id of an import, as `import-pipeline list` shows it, got"


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("ITEMS_LIMITS", "500/20", "ITEMS_LIMITS: expected tiers of up to a year such as '500/20 second; "),
        ("ITEMS_LIMITS", "1/99999999999 day", "ITEMS_LIMITS: expected tiers of up to a year such as '500/20 second; "),
        (
            "ITEMS_BASE_URL",
            "http://me:secret@host?x=1",
            "ITEMS_BASE_URL: expected an address such as https://api.example",
        ),
        ("ITEMS_BASE_URL", "example.com", "ITEMS_BASE_URL: expected an address such as https://api.example.com"),
        ("ITEMS_CONCURRENCY", "0", "ITEMS_CONCURRENCY: expected a whole number from 1 to 1000, got '0'"),
        ("ITEMS_TIMEOUT", "soon", "ITEMS_TIMEOUT: expected seconds above 0, got 'soon'"),
        ("ITEMS_BACKOFF", "1,x", "ITEMS_BACKOFF: expected seconds separated by commas"),
        ("ITEMS_OVERLAP", "perhaps", "ITEMS_OVERLAP: expected true or false, got 'perhaps'"),
        ("REDIS_URL", "http://localhost", "REDIS_URL: expected redis://"),
        ("DATABASE_URL", "mysql://u:secret@host/x", "DATABASE_URL: expected postgresql://user:password@host/name or"),
        ("DAGSTER_PORT", "70000", "DAGSTER_PORT: expected a port from 1 to 65535, got '70000'"),
        ("DAGSTER_HOME", "not/there", "DAGSTER_HOME: expected the whole path of the folder"),
        ("IMPORT_PIPELINE_SOURCES", "nonsense", "IMPORT_PIPELINE_SOURCES: expected module:NAME"),
    ],
)
def test_a_bad_setting_is_named_with_what_was_expected(command, home, setting, value, sentence):
    ended = command.run("run", "items", "--json", status=2, **{setting: value})
    assert ended.sentence.startswith(sentence)
    assert "secret" not in ended.err
    assert ended.out == ""
    if setting != "DAGSTER_HOME":
        assert not home.exists(), "nothing is made before the settings are right"


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (None, "no module 'mine' is found from"),
        ("", "the module mine has no SOURCES"),
        ("SOURCES = 7", "expected a list of ImportSource instances, got int"),
        ("SOURCES = ['x']", "expected an instance of ImportSource, got str"),
        ("\nSOURCES = [1 +", "cannot be imported: SyntaxError: '[' was never closed (FILE, line 2)"),
        ("import not_there", "cannot be imported: ModuleNotFoundError: No module named 'not_there' (FILE, line 1)"),
        ("\n\n1 / 0", "cannot be imported: ZeroDivisionError: division by zero (FILE, line 3)"),
        ("import json\njson.loads('{')", "cannot be imported: JSONDecodeError: "),
    ],
)
def test_a_broken_list_of_sources_is_reported_with_its_place(command, folder, file, sentence):
    if file is not None:
        (folder / "mine.py").write_text(file)
    ended = command.run("run", "items", status=2, IMPORT_PIPELINE_SOURCES="mine:SOURCES")
    assert sentence.replace("FILE", str(folder / "mine.py")) in ended.sentence
    if "json" in (file or ""):
        assert ended.sentence.endswith(f"({folder / 'mine.py'}, line 2)")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "nope"], "nope: no such source; known sources: items"),
        (["plan", "nope"], "nope: no such source; known sources: items"),
        (["show", "99"], "import 99: no import has this id; `import-pipeline list` shows the existing ones"),
        (["list", "--source", "nope"], "nope: no such source; known sources: items"),
        (
            ["prune", "--days", "3"],
            "Delete the item rows of imports that ended over 3 days ago? No terminal is attached: confirm with --yes",
        ),
    ],
)
def test_unknown_or_incomplete_arguments_are_refused_in_one_sentence(command, arguments, sentence):
    assert command.run(*arguments, status=2).sentence == sentence


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "items", "--only", ","], "--only: expected ids separated by commas, got none"),
        (
            ["run", "items", "--only", "3", "--limit", "2"],
            "--only cannot be given together with --limit, --full, --fresh, --refetch or --all",
        ),
        (
            ["run", "items", "--fresh"],
            "Import all of imported_items again, then delete its rows that are no longer in the list? No terminal",
        ),
        (
            ["request", "items", "--fresh"],
            "no longer in the list? No terminal is attached: confirm with --yes",
        ),
        (["request", "itmes", "--fresh"], "itmes: no such source; known sources: items"),
        (["prune", "--days", "3"], "No terminal is attached: confirm with --yes"),
        (["cancel", "9"], "import 9: no import has this id"),
        (["delete", "9"], "import 9: no import has this id"),
        (["run", "items", "--limit", "0"], "0 is not in the range x>=1"),
        (["show", "9" * 30], "no import has this id"),
        *((([name, "abc"], NO_ID)) for name in ("show", "cancel", "retry", "delete", "finalize")),
        (["show", "0"], NO_ID),
    ],
)
def test_bad_usage_is_refused_before_anything_is_done(command, arguments, sentence):
    ended = command.run(*arguments, status=2)
    assert sentence in ended.err
    assert ended.out == ""


def test_an_unreachable_database_is_reported_without_its_password(command, postgres_server):
    wrong_password = command.run("list", status=4, DATABASE_URL=postgres_server.url(password="wr0ng-secret"))
    assert 'password authentication failed for user "postgres"' in wrong_password.sentence
    no_server = command.run("run", "items", status=4, DATABASE_URL="postgresql://me:wr0ng-secret@127.0.0.1:9/x")
    assert "Connection refused" in no_server.sentence
    assert no_server.sentence.endswith("Check DATABASE_URL and the server")
    assert "wr0ng" not in no_server.err + wrong_password.err
