"""The contract of sources and models: mistakes become sentences, and the environment overrides attributes."""

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from import_pipeline.contracts import (
    Connector,
    Importable,
    ImportSource,
    LinkHeader,
    PageNumber,
    Retry,
    check_source,
)
from import_pipeline.errors import ContractError, SettingError
from import_pipeline.settings import SourceSettings
from import_pipeline.sources.items import ItemsSource
from import_pipeline_tests.support.contract_sources import Base, Mute, Thing, Things, source


class Nameless(Base):
    __tablename__ = "nameless"
    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(String(20))

    def populate(self, detail):
        pass

    def detail_request(self):
        return None


class Orphan(Base):
    """A model that refers to a table of which there is no class."""

    __tablename__ = "orphans"
    external_id: Mapped[str] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("nowhere.id"))

    def populate(self, detail):
        pass

    def detail_request(self):
        return None


class Renamed(Base):
    """A model whose id lies in a column of another name."""

    __tablename__ = "renamed"
    external_id: Mapped[str] = mapped_column("key", primary_key=True)

    def populate(self, detail):
        pass

    def detail_request(self):
        return None


class Part(Thing):
    """A model whose columns lie in two tables."""

    __tablename__ = "parts"
    id: Mapped[int] = mapped_column(ForeignKey("things.id"), primary_key=True)


class Whole(Base):
    """A model whose items are whole in the list."""

    __tablename__ = "whole"
    external_id: Mapped[str] = mapped_column(primary_key=True)


NAME = "at most 100 of the letters a to z and A to Z, digits and underscores, such as items"

EXPECTED_LIMITS = (
    "expected tiers of up to a year such as '500/20 second; 2000/100 second; 20 concurrent', or the word none"
)
BACKOFF = "expected seconds from 0, at least once, such as (30.0, 60.0)"
MISTAKES = [
    (Things, "<class '{module}.Things'>.class: expected an instance of ImportSource, got ABCMeta"),
    ("things", "'things'.class: expected an instance of ImportSource, got str"),
    (source(name=None), f"Things.name: expected {NAME}, got None"),
    (source(name="order-lines"), f"Things.name: expected {NAME}, got 'order-lines'"),
    (source(name=""), f"Things.name: expected {NAME}, got ''"),
    (source(model=None), "things.model: expected a class mapped by SQLAlchemy, got None"),
    (source(model=dict), "things.model: expected a class mapped by SQLAlchemy, got <class 'dict'>"),
    (source(model=Mute), "things.model.detail_request: expected a method (see Importable), got nothing"),
    (source(model=Nameless), "things.model.external_id: expected a column with a unique constraint, got nothing"),
    (source(model=Renamed), "things.model.external_id: expected a column of that name, got the column key"),
    (
        source(model=Orphan),
        "things.model.parent_id: expected a foreign key to a table of the same metadata: import its class, or map it "
        "with the same Base, got nowhere.id",
    ),
    (source(model=Part), "things.model: expected a class whose columns lie in one table, got the tables things, parts"),
    (
        source(limits="500/20"),
        f"things.limits: {EXPECTED_LIMITS}, got '500/20'",
    ),
    (
        source(limits="0/second"),
        f"things.limits: {EXPECTED_LIMITS}, got '0/second'",
    ),
    (source(concurrency=0), "things.concurrency: expected a whole number from 1 to 1000, got 0"),
    (source(per_page="100"), "things.per_page: expected a whole number from 1, got '100'"),
    (source(max_empty_pages=0), "things.max_empty_pages: expected a whole number from 1, got 0"),
    (source(max_empty_pages=True), "things.max_empty_pages: expected a whole number from 1, got True"),
    (source(revision=2**31), "things.revision: expected a whole number from 1, got 2147483648"),
    (source(revision=0), "things.revision: expected a whole number from 1, got 0"),
    (source(revision="2"), "things.revision: expected a whole number from 1, got '2'"),
    (source(retry=Retry(tries=0)), "things.retry.tries: expected a whole number from 1, got 0"),
    (source(timeout=0), "things.timeout: expected seconds above 0, got 0"),
    (source(lease=-1.0), "things.lease: expected seconds above 0, got -1.0"),
    (source(retry=None), "things.retry: expected Retry(tries=5, backoff=(30.0, 60.0)), got None"),
    (source(retry=Retry(backoff=())), f"things.retry.backoff: {BACKOFF}, got ()"),
    (source(retry=Retry(backoff=(1.0, -1.0))), f"things.retry.backoff: {BACKOFF}, got (1.0, -1.0)"),
    (source(retry=Retry(backoff=(float("nan"),))), f"things.retry.backoff: {BACKOFF}, got (nan,)"),
    (source(retry=Retry(backoff=("30",))), f"things.retry.backoff: {BACKOFF}, got ('30',)"),
    (source(max_pause=60), "things.max_pause: expected a timedelta above 0, got 60"),
    (source(max_depth=True), "things.max_depth: expected a whole number from 1, got True"),
    (source(slots="25"), "things.slots: expected hours or times of the day, such as 0,3,6 or 09:30,12:00, got '25'"),
    (source(time_zone="Mars"), "things.time_zone: expected a time zone such as Europe/Berlin, got 'Mars'"),
]


def test_a_source_with_a_parent_shares_the_limits_of_its_api():
    """Also through several generations; a parent that is given by its name has the API of that name."""
    named = type("Named", (Things,), {"api": "library"})
    children = [{"parent": Things}, {"parent": named()}, {"parent": "things"}, {"api": "own", "parent": named}]
    assert [source(**each).api for each in children] == ["things", "library", "things", "own"]
    child = type("Child", (Things,), {"name": "children", "parent": named})
    assert source(name="grandchildren", parent=child).api == "library"
    assert source(name="orphans").api == "orphans"


def test_a_row_class_may_leave_out_both_methods_for_details():
    assert check_source(source(model=Whole)).model is Whole


@pytest.mark.parametrize(("mistake", "sentence"), MISTAKES)
def test_a_mistake_is_a_sentence_that_names_source_part_and_expectation(mistake, sentence):
    with pytest.raises(ContractError) as refused:
        check_source(mistake)
    assert str(refused.value) == sentence.format(module=Things.__module__)


def test_a_source_that_keeps_the_contract_is_returned_as_it_is():
    things = Things()
    assert check_source(things) is things
    assert isinstance(Thing(), Importable)


def test_a_source_that_leaves_a_method_out_cannot_be_made():
    with pytest.raises(TypeError, match=r"abstract method .?stub"):
        type(
            "Half", (ImportSource,), {name: vars(Things)[name] for name in ("list_request", "items", "has_next_page")}
        )()


PAGED = {name: vars(Things)[name] for name in ("name", "model", "items", "stub")}
FIRST_PAGE = {"list_request": lambda self: httpx.Request("GET", "/things")}


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"list_request": vars(Things)["list_request"]}, "a paginator such as PageNumber(), or a method has_next_page"),
        (FIRST_PAGE | {"pages": PageNumber}, "things.pages: expected a paginator, such as PageNumber()"),
        (FIRST_PAGE | {"pages": LinkHeader(), "has_next_page": lambda self, response: True}, "none beside `pages`"),
        (
            FIRST_PAGE | {"pages": LinkHeader(), "next_request": lambda self, response, page: None},
            "none beside `pages`",
        ),
        (
            {"pages": LinkHeader(), "list_request": vars(Things)["list_request"]},
            "things.list_request: expected to take ()",
        ),
    ],
)
def test_a_source_says_in_one_way_how_its_pages_follow_each_other(parts, sentence):
    with pytest.raises(ContractError) as refused:
        check_source(type("Paged", (ImportSource,), PAGED | parts)())
    assert sentence in str(refused.value)


def test_a_source_with_a_paginator_writes_its_first_request_only():
    paged = type("Paged", (ImportSource,), PAGED | FIRST_PAGE | {"pages": LinkHeader()})()
    assert check_source(paged) is paged


def test_what_a_user_leaves_out_has_a_default():
    things = Things()
    page = httpx.Response(200, json={"things": [], "more": True})
    named = ("api", "limits", "per_page", "concurrency", "overlap", "retry", "timeout", "lease", "wait", "base_url")
    assert {name: getattr(things, name) for name in named} == {
        "api": "things",
        "limits": "",
        "per_page": 100,
        "concurrency": 10,
        "overlap": True,
        "retry": Retry(tries=5, backoff=(30.0, 60.0, 120.0, 240.0)),
        "timeout": 30.0,
        "lease": 60.0,
        "wait": 300.0,
        "base_url": "",
    }
    assert things.max_pause == timedelta(hours=6)
    assert (things.total(page), things.version({}), things.is_rate_limited(page)) == (None, None, False)


def test_pages_are_counted_as_long_as_there_is_a_next_one():
    things = source(per_page=15)
    following = things.next_request(httpx.Response(200, json={"more": True}), 3)
    assert str(following.url) == "/things?page=4&size=15"
    assert things.next_request(httpx.Response(200, json={"more": False}), 4) is None


def test_a_detail_is_a_json_object():
    assert Things().detail(httpx.Response(200, json={"id": 1})) == {"id": 1}
    for body in ([1, 2], "text", None, 17):
        with pytest.raises(ValueError, match=f"expected a JSON object, got {type(body).__name__}"):
            Things().detail(httpx.Response(200, text=json.dumps(body)))


def test_the_default_connector_takes_address_token_and_timeout_from_the_settings():
    things = source(base_url="https://api.example.com", timeout=5.0)
    assert things.connector(SourceSettings()) == Connector(base_url="https://api.example.com", timeout=5.0)
    assert things.connector(SourceSettings(token="planted-secret")) == Connector(
        base_url="https://api.example.com", headers={"Authorization": "Bearer planted-secret"}, timeout=5.0
    )
    assert "planted-secret" not in repr(things.connector(SourceSettings(token="planted-secret")))


def test_a_source_without_an_address_says_which_setting_gives_one():
    with pytest.raises(SettingError) as refused:
        Things().connector(SourceSettings())
    assert str(refused.value) == "THINGS_BASE_URL: expected an address such as https://api.example.com, got nothing"


def test_the_environment_wins_over_the_class_on_a_copy():
    things = source(base_url="https://api.example.com", retry=Retry(tries=4, backoff=(1.0,)))
    configured = things.configured(
        SourceSettings(
            base_url="http://localhost",
            limits="5/second",
            concurrency=3,
            per_page=15,
            timeout=2.0,
            tries=2,
            overlap=False,
            lease=5.0,
            wait=1.0,
            max_pause=60.0,
        )
    )
    assert vars(configured) == {
        "base_url": "http://localhost",
        "limits": "5/second",
        "concurrency": 3,
        "per_page": 15,
        "timeout": 2.0,
        "retry": Retry(tries=2, backoff=(1.0,)),
        "overlap": False,
        "lease": 5.0,
        "wait": 1.0,
        "max_pause": timedelta(seconds=60),
    }
    assert things.configured(SourceSettings(backoff=(0.0, 9.0))).retry == Retry(tries=4, backoff=(0.0, 9.0))
    assert vars(things) == {}
    assert vars(things.configured(SourceSettings())) == {}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"slots": "25"}, "ITEMS_SLOTS: expected hours or times of the day, such as 0,3,6 or 09:30,12:00, got '25'"),
        ({"time_zone": "Mars"}, "ITEMS_TIME_ZONE: expected a time zone such as Europe/Berlin, got 'Mars'"),
    ],
)
def test_slots_and_zone_of_the_environment_are_read_when_the_source_takes_them_over(given, sentence):
    with pytest.raises(SettingError) as refused:
        ItemsSource().configured(SourceSettings(**given))
    assert str(refused.value) == sentence


def test_a_source_has_its_timetable_in_its_zone():
    source = ItemsSource().configured(SourceSettings(slots="09:30,12:00", time_zone="Europe/Berlin"))
    moment = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    assert source.timetable.next_after(moment) == datetime(2026, 11, 24, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize("name", ["données", "a-b", "a b", "1st", "x" * 101, "a/b", "a.b", "items\n", "ﬁle"])
def test_a_name_that_dagster_or_the_tables_refuse_is_refused_at_once(name):
    with pytest.raises(ContractError, match=r"Things\.name: expected at most 100 of the letters"):
        check_source(source(name=name))
