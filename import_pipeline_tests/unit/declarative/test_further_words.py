"""Words for access, batches, slices, changes and answers: what they make, and the sentence for each mistake."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from import_pipeline import Incremental, OAuth2, RestSource
from import_pipeline.contracts import check_source
from import_pipeline.declarative.groups import WindowWords
from import_pipeline.declarative.windows import halves, windows
from import_pipeline.errors import ContractError, SettingError
from import_pipeline.settings import load_settings
from import_pipeline.testing import CannedTransport, rehearse

LEAST = {"name": "orders", "list": "/orders", "pages": "one_page", "columns": {}}
SECRETS = {"ORDERS_API_KEY": "key-1", "ORDERS_USER": "me", "ORDERS_CLIENT_ID": "id-1", "ORDERS_CLIENT_SECRET": "s-1"}


def connector(tmp_path, auth, **environment):
    settings = load_settings({"IMPORT_PIPELINE_HOME": str(tmp_path), **SECRETS, **environment}, tmp_path)
    source = check_source(RestSource(**LEAST, base_url="https://api.test", auth=auth, origins=["https://b.test"]))
    return source.configured(settings.source("orders")).connector(settings.source("orders"))


@pytest.mark.parametrize(
    ("auth", "headers", "params"),
    [
        ({"type": "bearer", "secret": "API_KEY"}, {"Authorization": "Bearer key-1"}, {}),
        ({"type": "bearer", "secret": "ORDERS_API_KEY"}, {"Authorization": "Bearer key-1"}, {}),
        ({"type": "header", "name": "X-Key", "secret": "API_KEY"}, {"X-Key": "key-1"}, {}),
        (
            {"type": "header", "name": "Authorization", "scheme": "Token", "secret": "API_KEY"},
            {"Authorization": "Token key-1"},
            {},
        ),
        ({"type": "query", "name": "appid", "secret": "API_KEY"}, {}, {"appid": "key-1"}),
    ],
)
def test_credentials_come_from_the_variable_that_the_words_name(tmp_path, auth, headers, params):
    found = connector(tmp_path, auth)
    assert (dict(found.headers), dict(found.params), found.origins) == (headers, params, ("https://b.test",))


def test_basic_and_oauth_take_the_place_of_the_token(tmp_path):
    basic = connector(tmp_path, {"type": "basic", "user": "USER", "password": "API_KEY"}, ORDERS_TOKEN="other")
    request = next(basic.auth.auth_flow(httpx.Request("GET", "https://api.test")))
    assert request.headers["authorization"] == httpx.BasicAuth("me", "key-1")._auth_header
    assert basic.headers == {}
    oauth = connector(tmp_path, {"type": "oauth2", "token_url": "/token", "scope": "read", "body": "json"})
    assert oauth.auth == OAuth2("/token", "id-1", "s-1", scope="read", body="json")


def test_a_variable_that_is_absent_is_named(tmp_path):
    with pytest.raises(SettingError, match=r"ORDERS_NO_KEY: expected a secret, in the environment or in .env"):
        connector(tmp_path, {"type": "bearer", "secret": "NO_KEY"})


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "bearer", "secret": "planted-Secret-1"},
        {"type": "bearer", "secret": 12345},
        {"type": "planted-Secret-1"},
        {"type": "header", "name": "X", "secret": "API_KEY", "value": "planted-Secret-1"},
        "planted-Secret-1",
    ],
    ids=str,
)
def test_a_secret_in_the_words_is_refused_and_not_shown(auth):
    refused = r"expected .*, got a value that is not shown|unknown key value; header takes name, secret, scheme"
    with pytest.raises(ContractError, match=rf"orders\.auth.*: ({refused})$") as caught:
        RestSource(**LEAST, auth=auth)
    assert "planted" not in str(caught.value).partition("expected")[2]


def test_details_come_in_batches(tmp_path):
    batch = {
        "path": "/orders/batch",
        "method": "POST",
        "params": {"ids": "{ids}", "ids[]": "{ids}"},
        "body": {"ids": "{ids}", "inputs": {"each": {"key": "{id}", "shop": "{shop}"}}},
        "size": 2,
        "items": "found",
        "id": "key",
        "item": "values",
    }
    sent = []

    def answer(request):
        if request.url.path == "/orders":
            return [{"id": key, "shop": f"s{key}"} for key in (1, 2, 3)]
        assert request.url.params.get_list("ids[]") == request.url.params["ids"].split(",")
        sent.append((request.url.params["ids"], request.read().decode()))
        return {"found": [{"key": key, "values": {"a": key}} for key in request.url.params["ids"].split(",")]}

    columns = {"shop": {"path": "shop", "from_list": True}, "a": "a"}
    done = rehearse(RestSource(**LEAST | {"columns": columns}, batch=batch), CannedTransport(answer), tmp_path)
    assert {key: (row["shop"], row["a"]) for key, row in done.rows.items()} == {
        key: (f"s{key}", key) for key in ("1", "2", "3")
    }
    assert sorted(sent)[0] == (
        "1,2",
        '{"ids":["1","2"],"inputs":[{"key":"1","shop":"s1"},{"key":"2","shop":"s2"}]}',
    )


def test_a_list_may_be_read_by_keys(tmp_path):
    source = RestSource(
        **LEAST | {"list": "/{slice}/orders", "slices": ["eu", "us"], "columns": {"region": "{slice}", "a": "a"}}
    )
    answers = {"/eu/orders": [{"id": 1, "a": "x"}], "/us/orders": [{"id": 2, "a": "y"}]}
    done = rehearse(source, CannedTransport(answers), tmp_path)
    assert {key: (row["region"], row["a"]) for key, row in done.rows.items()} == {"1": ("eu", "x"), "2": ("us", "y")}


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        ("year", ["2029-12-15/2030-01-01", "2030-01-01/2031-01-01"]),
        ("month", ["2029-12-15/2030-01-01", "2030-01-01/2030-02-01"]),
        ("week", ["2029-12-15/2029-12-22", "2029-12-22/2029-12-29", "2029-12-29/2030-01-05"]),
        ("day", [f"2029-12-{day}/2029-12-{day + 1}" for day in range(15, 31)] + ["2029-12-31/2030-01-01"]),
    ],
)
def test_windows_are_whole_and_reach_now(every, expected):
    now = datetime(2030, 1, 1, 12, tzinfo=UTC) if every != "day" else datetime(2029, 12, 31, 12, tzinfo=UTC)
    found = list(windows(WindowWords(start="2029-12-15", every=every), now))
    assert [key.replace("T00:00:00Z", "") for key in found] == expected
    assert list(windows(WindowWords(start="2031-01-01", every=every), now)) == []


def test_windows_at_the_cap_are_halved_until_their_lists_end(tmp_path):
    """Items of each hour of a day, of which a list gives five at most."""
    hours = [datetime(2030, 1, 1, hour, tzinfo=UTC) for hour in range(24)]

    def answer(request):
        begin, end = (datetime.fromisoformat(request.url.params[name]) for name in ("begin", "end"))
        return [{"id": each.hour} for each in hours if begin <= each < end][:5]

    words = {"path": "/orders", "params": {"begin": "{slice.start}", "end": "{slice.end}"}}
    windows = {"start": "2030-01-01", "every": "year"}
    source = RestSource(**LEAST | {"list": words, "slices": windows, "max_results": 5, "columns": {"id_": "id"}})
    source.slices = lambda: ["2030-01-01T00:00:00Z/2030-01-02T00:00:00Z"]
    done = rehearse(source, CannedTransport(answer), tmp_path)
    assert (done.summary.incomplete_reason, set(done.rows)) == (None, {str(each.hour) for each in hours})


def test_a_window_is_halved_down_to_a_second():
    begin = "2030-01-01T00:00:0"
    assert halves(f"{begin}0Z/{begin}3Z") == [f"{begin}0Z/{begin}1Z", f"{begin}1Z/{begin}3Z"]
    assert halves(f"{begin}1Z/{begin}2Z") == []


def test_changes_are_asked_for_by_a_parameter_or_by_a_list_of_their_own():
    words = {"position": "at", "param": "updated_since", "start": 5, "lookback": 2, "full_every": "7 days"}
    source = check_source(RestSource(**LEAST, incremental=words | {"order": "oldest_first", "deleted": "meta.gone"}))
    assert source.incremental == Incremental(start="5", lookback=2, full_every=timedelta(days=7))
    assert (source.order, str(source.list_request().url)) == ("oldest_first", "/orders")
    assert str(source.changes_request("7").url) == "/orders?updated_since=7"
    assert (source.position({"at": 9}), source.position({})) == ("9", None)
    gone = [source.is_deleted({"meta": {"gone": value}}) for value in (True, "true", "no", None)]
    assert gone == [True, True, False, False]
    own = {"position": "at", "list": {"path": "/changes", "params": {"from": "{since}"}}}
    assert str(RestSource(**LEAST, incremental=own).changes_request("7").url) == "/changes?from=7"


def test_a_list_that_needs_a_position_has_no_other_one():
    only_changes = {"list": {"path": "/orders", "params": {"since": "{since}"}}, "incremental": {"position": "at"}}
    with pytest.raises(ContractError, match=r"orders\.incremental\.start: expected a position to ask for all changes"):
        check_source(RestSource(**LEAST | only_changes))
    only_changes["incremental"]["start"] = "2020-01-01T00:00:00Z"
    source = check_source(RestSource(**LEAST | only_changes))
    assert source.list_request().url.params["since"] == "2020-01-01T00:00:00Z"


def test_slices_ask_for_changes_only_in_an_incremental_import():
    source = RestSource(
        **LEAST | {"list": "/{slice}/orders"}, slices=["eu"], incremental={"position": "at", "param": "since"}
    )
    assert check_source(source).slice_request("eu").url == "/eu/orders"
    source.since = "7"
    assert source.slice_request("eu").url == "/eu/orders?since=7"


@pytest.mark.parametrize(
    ("row", "answer", "action"),
    [
        ({"status": 403, "contains": "rate"}, httpx.Response(403, text="rate limit"), "RATE_LIMITED"),
        ({"status": 403, "contains": "rate"}, httpx.Response(403, text="no"), None),
        ({"status": [403, 420]}, httpx.Response(420), "RATE_LIMITED"),
        ({"status": [403, 420]}, httpx.Response(200), None),
        (
            {"path": "error.code", "equals": "SLOW"},
            httpx.Response(200, json={"error": {"code": "SLOW"}}),
            "RATE_LIMITED",
        ),
        ({"path": "error.code", "equals": None}, httpx.Response(200, json={"error": {}}), "RATE_LIMITED"),
        ({"path": "error"}, httpx.Response(200, json={"error": "x"}), "RATE_LIMITED"),
        ({"path": "error"}, httpx.Response(200, json={"error": False}), None),
        ({"path": "error"}, httpx.Response(200, text="<html>"), None),
    ],
)
def test_a_row_of_the_table_of_answers_fits(row, answer, action):
    source = RestSource(**LEAST, answers=[{**row, "action": "rate_limited", "wait": 30}])
    found = source.classify(answer)
    assert (found and found.kind.name, found and found.wait) == (action, action and timedelta(seconds=30))


@pytest.mark.parametrize("action", ["accept", "not_modified", "retry", "rate_limited", "skip", "gone", "fail", "stop"])
def test_each_action_has_its_reason(action):
    found = RestSource(**LEAST, answers=[{"action": action, "reason": "why"}]).classify(httpx.Response(200))
    assert (found.kind.name.lower(), found.reason) == (action, "why")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"auth": {"type": "digest"}}, "orders.auth: expected one of bearer, header, query, basic, oauth2, as"),
        ({"auth": {"type": "bearer"}}, "orders.auth.secret: expected a text, which bearer needs, got nothing"),
        ({"detail": "/o/{id}", "batch": {"path": "/b", "size": 5}}, "orders.batch: expected a request that names the"),
        (
            {"detail": "/o/{id}", "batch": {"path": "/b/{ids}", "size": 5}},
            "orders.batch: expected either `detail` or `batch`, got both",
        ),
        ({"batch": {"path": "/b/{ids}"}}, "orders.batch.size: expected items per request, got nothing"),
        ({"batch": {"path": "/b/{ids}", "size": 0}}, "orders.batch.size: expected "),
        ({"slices": ["a"]}, "orders.list: expected {slice} in the list's request, got none"),
        ({"parent": "a"}, "orders.list: expected {slice} in the list's request, got none"),
        ({"list": "/{slice}"}, "orders.list: expected `parent` or `slices` beside {slice}, got none"),
        ({"list": "/{slice}", "parent": "a", "slices": ["b"]}, "orders.slices: expected either `parent` or `slices`"),
        ({"list": "/{slice}", "slices": {"start": "x", "every": "day"}}, "orders.slices.start: expected a date or"),
        ({"columns": {"a": "{slice}"}}, "orders.columns.a.path: expected a path in the item; {slice} only beside"),
        ({"incremental": {}}, "orders.incremental.position: expected the path of a value that grows with each change"),
        ({"incremental": {"position": "a"}}, "orders.incremental.param: expected a parameter, or a list with {since}"),
        (
            {"incremental": {"position": "a", "param": "b", "full_every": "soon"}},
            "orders.incremental.full_every: expected a span such as 5 minutes or 7 days, got 'soon'",
        ),
        ({"answers": [{"status": 403}]}, "orders.answers.0.action: expected the meaning of the answer, got nothing"),
        ({"answers": [{"action": "retry", "wait": 1e9}]}, "orders.answers.0.wait: expected "),
        ({"answers": [{"action": "wait"}]}, "orders.answers.0.action: expected one of 'accept', 'not_modified'"),
        ({"limits": 5}, "orders.limits: expected a text such as 500/20 second; 2000/100 second, or a mapping"),
    ],
)
def test_a_mistake_is_a_sentence(wrong, sentence):
    with pytest.raises(ContractError) as caught:
        RestSource(**LEAST | wrong)
    assert str(caught.value).startswith(sentence)


def test_limits_may_differ_by_path():
    source = check_source(RestSource(**LEAST, limits={"/search": "5/1 second", "": "100/10 second"}, revision=2))
    assert source.limits_text == "100/10 second; /search: 5/1 second"
    assert source.revision == 2
