"""Each mistake in a YAML file is a sentence with file, source, key, expectation and value, in the words of the file."""

import pytest

from import_pipeline.errors import ContractError, SourceNotFound
from import_pipeline.importer.source_loader import load_sources
from import_pipeline.settings import load_settings

WORDS = {
    "name": "orders",
    "base_url": "https://api.test",
    "limits": "100/10 second",
    "list": "/orders",
    "items": "data",
    "pages": "link_header",
    "detail": "/orders/{id}",
    "columns": "{email: email}",
}
#: Words of Python classes, which no sentence about a file may have.
FOREIGN = (
    "list_request",
    "detail_request",
    "has_next_page",
    "__tablename__",
    "timedelta",
    "RestSource",
    "retry.",
    "None",
)


def file_of(**changes):
    """Return the text of a file; a value of None leaves the key out."""
    return "".join(f"{key}: {value}\n" for key, value in (WORDS | changes).items() if value is not None)


def load(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(text)
    environment = {"IMPORT_PIPELINE_HOME": str(tmp_path), "IMPORT_PIPELINE_SOURCES": "s.yaml"}
    return load_sources(load_settings(environment, tmp_path))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"vresion": "a"}, "orders.vresion: unknown key vresion; did you mean version?"),
        ({"verison": "a"}, "s.yaml: orders.verison: unknown key verison; did you mean version?"),
        ({"zzz": "a"}, "orders.zzz: unknown key zzz; the known keys are name, base_url, list, items, format, pages,"),
        ({"zzz": "a"}, "asset_key_prefix, tags, and options such as limits, slots or concurrency"),
        ({"concurency": 1}, "orders.concurency: unknown key concurency; did you mean concurrency?"),
        (
            {"answers": "[{statsu: 4, action: fail}]"},
            "answers.0.statsu: unknown key statsu; did you mean status?",
        ),
        ({"list": "{path: /o, q: 1}"}, "orders.list.q: unknown key q; the known keys are path, method, params,"),
        ({"pages": "{type: page_number, sise: a}"}, "sise; did you mean size? page_number takes param, size, start,"),
        ({"pages": "{type: one_page, size: a}"}, "orders.pages.size: unknown key size; one_page takes none"),
        ({"pages": "{tpye: cursor, next: a}"}, "orders.pages.tpye: unknown key tpye; did you mean type? it is one of"),
        ({"auth": "{type: query, nmae: a, secret: B}"}, "orders.auth.nmae: unknown key nmae; did you mean name?"),
        ({"list_request": "/x"}, "orders.list_request: unknown key list_request; use `list` instead"),
        ({"token": "planted"}, "orders.token: unknown key token; use `auth` instead"),
        ({"columns": "{total: {path: a, typ: text}}"}, "orders.columns.total.typ: unknown key typ; did you mean type?"),
        ({"columns": "{a: {path: a, type: nmeric}}"}, "'nmeric' (did you mean numeric?)"),
        (
            {"columns": "{a: }"},
            "orders.columns.a: expected a path, or a mapping with path, type, index, from_list, got n",
        ),
        ({"columns": "{int: 5}"}, "orders.columns.int: expected a path, or a mapping with path,"),
        (
            {"columns": "{status: {path: a, index: perhaps}}"},
            "orders.columns.status.index: expected true or false (true: the",
        ),
        ({"pages": "cursr"}, "got 'cursr' (did you mean cursor?)"),
        (
            {"pages": "{type: cursor, next: a, where: qurey}"},
            "orders.pages.where: expected query or json, got 'qurey' (d",
        ),
        ({"name": None}, "s.yaml: name: expected the name of the source, its assets, jobs and settings, got nothing"),
        ({"name": "my-orders"}, "s.yaml: name: expected at most 100 of the letters"),
        ({"list": "{path: /o, method: get}"}, "got 'get' (did you mean GET?)"),
        ({"list": "{path: /o, cost: 0}"}, "orders.list.cost: expected a number from 1, got 0"),
        (
            {"list": "/orders/{page}"},
            "orders.list.path: expected no placeholder, since the list has neither slices nor",
        ),
        (
            {"detail": "{path: /o, params: {x: '{idd}'}}"},
            "orders.detail.params.x: expected placeholders {id} or {name of",
        ),
        (
            {"detail": None, "batch": "{path: '/b/{x}', params: {i: '{ids}'}, size: 3}"},
            "orders.batch.path: expected {ids};",
        ),
        ({"id": "{path: id, type: int}"}, "got 'int' (did you mean integer?)"),
        ({"limits": "20 per 2s"}, "orders.limits: expected tiers of up to a year such as"),
        (
            {"limits": "[5/1 second]"},
            "orders.limits: expected a text such as 500/20 second; 2000/100 second, or a mapping",
        ),
        (
            {"base_url": "api.test"},
            "orders.base_url: expected an address such as https://api.example.com, with no query",
        ),
        ({"base_url": "https://me:planted@api.test"}, "orders.base_url: expected an address without user and password"),
        (
            {"params": "{api_key: planted}"},
            "orders.params.api_key: expected a credential in `auth`: {type: query, name:",
        ),
        ({"headers": "{X-Token: [planted]}"}, "orders.headers.X-Token: expected a text, got a value that is not shown"),
        ({"auth": "{type: beaer, secret: API_KEY}"}, "got a value that is not shown (did you mean bearer?)"),
        ({"backoff": "30"}, "orders.backoff: expected a list (seconds between the tries of an item), got 30"),
        ({"backoff": "[-3]"}, "orders.backoff: expected seconds from 0, at least once, such as [30, 60], got [-3.0]"),
        ({"tries": "0"}, "orders.tries: expected a whole number from 1, got 0"),
        ({"max_pause": "-1"}, "orders.max_pause: expected seconds above 0, got -1.0"),
        (
            {"timeout": "30 seconds"},
            "orders.timeout: expected a number (seconds for a whole request), got '30 seconds'",
        ),
        ({"slots": "'25:00'"}, "orders.slots: expected hours or times of the day"),
        (
            {"partitions": "per_itm"},
            "orders.partitions: expected per_item, or a whole number from 1, got 'per_itm' (did yo",
        ),
        (
            {"list": "/o/{slice.start}", "slices": "{start: 2024-01-01, every: mnth}"},
            "orders.slices.every: expected one",
        ),
        (
            {"list": "/o/{slice.start}", "slices": "{start: x, evry: month}"},
            "orders.slices.evry: unknown key evry; did you mean every?",
        ),
        (
            {"list": "/o/{slice.begin}", "slices": "{start: 2024-01-01, every: day}"},
            "orders.list.path: expected {slice} or",
        ),
        ({"list": "/o/{slice.start}", "slices": "[a, b]"}, "orders.list.path: expected {slice}"),
        ({"list": "/o/{slice}", "slices": "abc"}, "orders.slices: expected a list of keys, or windows of time such as"),
        (
            {"list": "/o/{slice}", "parent": "isues"},
            "orders.parent: expected a source of the same list (no other source)",
        ),
        (
            {"changed_only": "true"},
            "orders.changed_only: expected `parent` beside it, whose changes it means, got none",
        ),
        ({"list": "/o?since={since}"}, "orders.list: expected `incremental` beside {since}, got none"),
        (
            {"incremental": "{position: at, param: since, lookback: -5}"},
            "orders.incremental.lookback: expected a span such as 5 minutes, or a number, from 0, got -5",
        ),
        (
            {"answers": "[{status: 4xx, action: skip}]"},
            "orders.answers.0.status: expected a whole number such as 403, or",
        ),
        (
            {"answers": "[{equals: 4, action: skip}]"},
            "orders.answers.0.path: expected `path` beside it, the place of the",
        ),
        (
            {"answers": "[{wait: 3, status: 403, action: skip}]"},
            "orders.answers.0.wait: expected no wait, which only retry",
        ),
        ({"answers": "[{status: 403, action: skp}]"}, "got 'skp' (did you mean skip?)"),
        ({"origins": "[not a url]"}, "orders.origins.0: expected an origin such as https://files.example.com"),
        ({"owners": "[me]"}, "orders.owners: expected team:name, or a mail address, got 'me'"),
        ({"tags": "{'a b': x}"}, "orders.tags: expected keys and values of at most 63"),
        (
            {"table": "imports"},
            "orders.table: expected another one, such as raw_imports, since this one holds the imports",
        ),
        (
            {"base_url": "'{{ env.NO_URL }}'"},
            "orders.base_url: expected a value of NO_URL in the environment or .env, got",
        ),
        (
            {"list": "{path: '{{ nv.A }}'}"},
            "orders.list.path: expected {{ env.NAME }}; others work in Dagster only, got {{",
        ),
        (
            {"list": "{path: /o, method: POST, body: [1]}", "pages": "{type: cursor, next: n, param: a, where: json}"},
            "orders.list.body: expected a mapping, which `pages` adds to since its `where` is json, got [1]",
        ),
    ],
)
def test_a_wrong_value_names_file_and_key(tmp_path, monkeypatch, changes, sentence):
    with pytest.raises(ContractError) as caught:
        load(tmp_path, monkeypatch, file_of(**changes))
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 's.yaml'}: ") or changes.get("parent")  # a parent may be in another file
    assert sentence in said
    assert "planted" not in said
    assert not [word for word in FOREIGN if word in said.replace("list_request: unknown key list_request;", "")]


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("hello", ContractError, "s.yaml: expected a mapping with name, list, pages ..., got 'hello'"),
        ("type: import_pipeline.RestImport", ContractError, "s.yaml: attributes: expected a mapping with name, list,"),
        (
            "type: import_pipeline.RestImprt",
            ContractError,
            "s.yaml: type: expected import_pipeline.RestImport, got 'imp",
        ),
        ("attributes: {name: a}", ContractError, "s.yaml: type: expected import_pipeline.RestImport, got nothing"),
        (
            "name: a\nlist: [/x\npages: y",
            SourceNotFound,
            "s.yaml: the file cannot be read: while parsing a flow sequence",
        ),
        ("name: a\n\tlist: x", SourceNotFound, "cannot start any token in line 2"),
        ("name: a\nlist: &x {path: *x}", SourceNotFound, "an alias (*name) contains itself"),
        (
            f"{file_of()}---\n{file_of()}",
            ContractError,
            "orders.name: expected a unique name, got the name of two sources",
        ),
    ],
)
def test_a_wrong_document_names_the_file(tmp_path, monkeypatch, text, error, sentence):
    with pytest.raises(error) as caught:
        load(tmp_path, monkeypatch, text)
    assert sentence in str(caught.value)
    assert "s.yaml" in str(caught.value)


def test_what_only_dagster_reads_does_not_disturb_the_commands(tmp_path, monkeypatch):
    words = "".join(f"  {line}\n" for line in file_of().splitlines())
    text = f"type: import_pipeline.RestImport\nattributes:\n{words}  translation: {{key: '{{{{ spec.key }}}}'}}\n"
    [source] = load(tmp_path, monkeypatch, text + "  tracking_assets: true\n")
    assert (source.name, source.declared_in) == ("orders", str(tmp_path / "s.yaml"))


def test_sources_of_one_table_are_advised_in_words_of_the_file(tmp_path, monkeypatch):
    from import_pipeline.importer.source_loader import shared_tables

    both = f"{file_of()}---\n{file_of(name='others', table='orders')}"
    [note] = shared_tables(load(tmp_path, monkeypatch, both))
    assert note.endswith("is refused for all but the first. Give each its own `table`")
