"""Notices of imports that failed, are incomplete or are blocked: sent once, whatever their server does."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import select

from import_pipeline import run_import
from import_pipeline.errors import ApiBlocked
from import_pipeline.importer.control import finalize
from import_pipeline.importer.execution.run import _pause
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.lifecycle import notifications
from import_pipeline.importer.lifecycle.notifications import send_notices
from import_pipeline.rules.endings import ending_of
from import_pipeline.rules.notifications import MAX_TRIES
from import_pipeline.sources.items import ItemsSource
from import_pipeline.tracking import notifications as notices
from import_pipeline.tracking.tables import import_events
from import_pipeline_tests.acceptance.command_line import free_port
from import_pipeline_tests.support.imports import served, settings
from import_pipeline_tests.support.lifecycle import CANCELLED, FAILED, TEN, items_source
from import_pipeline_tests.support.webhook_receiver import WebhookReceiver

SECRET = "planted-secret"


@contextmanager
def listening(life, ear):
    with served(ear.app) as url:
        life.source = items_source(notify_url=f"{url}/hook/{SECRET}")
        yield url


def started(life):
    life.go_on(hours=3)
    return life.begin(life.slot(life.now))


def failed(life, reason="boom"):
    hand = started(life)
    hand.end(FAILED, reason)
    return hand.row.id


def send(life, seconds=5.0):
    return send_notices(life.installation, life.source, seconds)


def marks(life):
    """Return state, tries and problem of every event that was due."""
    with life.database.read() as connection:
        told = [row.metadata for row in connection.execute(select(import_events).order_by(import_events.c.id))]
    return [(*each["notice"].split(" ")[:2], each.get("notice_problem")) for each in told if "notice" in each]


def test_a_failed_import_is_reported_once(life):
    ear = WebhookReceiver()
    with listening(life, ear):
        number = failed(life)
        assert [send(life), send(life)] == [1, 0]
    [(path, key, told)] = ear.heard
    assert path == f"/hook/{SECRET}"
    assert told == {
        "text": f"items, import {number}: Failed: boom.",
        "id": key,
        "occasion": "failed",
        "source": "items",
        "import_id": number,
        "reason": "Failed: boom.",
        "at": life.now.isoformat(),
    }
    assert marks(life) == [("sent", "1", None)]


def test_the_occasions_of_a_notice(life):
    ear = WebhookReceiver()
    with listening(life, ear):
        hand = started(life)
        hand.discover("1", stopped="the list repeats itself")
        hand.succeed(hand.claim())
        hand.complete()
        started(life).import_all("1")
        started(life).end(CANCELLED)
        blocked = started(life)
        run = ImportRun(installation=life.installation, source=life.source)
        _pause(run, blocked.lease, ending_of(ApiBlocked("items", life.now + timedelta(hours=1))))
        assert send(life) == 2
    assert [(told["occasion"], told["import_id"]) for _, _, told in ear.heard] == [
        ("incomplete", hand.row.id),
        ("blocked", blocked.row.id),
    ]


def test_an_import_that_the_sensor_or_finalize_has_ended_is_told(life):
    ear = WebhookReceiver()
    with listening(life, ear):
        hopeless = started(life)
        for _ in range(3):
            life.go_on(seconds=61)
            hopeless = life.launch()
        life.go_on(seconds=61)
        assert life.tick().launches == []
        left = started(life)
        left.discover("1", stopped="the list repeats itself")
        left.succeed(left.claim())
        left.leave()
        assert finalize.finalize(life.installation, left.row.id).ended
        assert send(life) == 2
    assert [(told["occasion"], told["import_id"]) for _, _, told in ear.heard] == [
        ("failed", hopeless.row.id),
        ("incomplete", left.row.id),
    ]


def test_many_processes_send_it_once(life):
    ear = WebhookReceiver()
    with listening(life, ear), ThreadPoolExecutor(8) as pool:
        failed(life)
        barrier = threading.Barrier(8)

        def at_once(_):
            barrier.wait()
            return send(life)

        assert sum(pool.map(at_once, range(8))) == 1
    assert len(ear.heard) == 1


def test_a_server_that_is_down_gets_it_later_and_not_for_ever(life):
    port = free_port()
    life.source = items_source(notify_url=f"http://127.0.0.1:{port}/{SECRET}")
    number = failed(life)
    failed(life)
    assert [send(life), send(life)] == [0, 0]
    assert marks(life) == [("failed", "1", "ConnectError"), ("failed", "1", "ConnectError")]
    for minutes in (1, 2, 4, 8, 16, 32):
        life.go_on(minutes=minutes)
        assert [send(life), send(life)] == [0, 0]
    assert {(state, tries) for state, tries, _ in marks(life)} == {("failed", str(MAX_TRIES))}
    assert life.get(number).status is FAILED
    ear = WebhookReceiver()
    with listening(life, ear):
        another = failed(life)
        assert send(life) == 1
    assert [told["import_id"] for _, _, told in ear.heard] == [another]


def test_a_server_that_is_up_again_hears_it(life):
    ear = WebhookReceiver(status=500)
    with listening(life, ear):
        failed(life)
        assert send(life) == 0
        assert marks(life) == [("failed", "1", "the address answers 500")]
        ear.status = 200
        life.go_on(seconds=59)
        assert send(life) == 0
        life.go_on(seconds=1)
        assert send(life) == 1
    assert len({key for _, key, _ in ear.heard}) == 1


def test_a_server_that_hangs_delays_no_import(life):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        life.source = items_source(notify_url=f"http://127.0.0.1:{deaf.getsockname()[1]}/")
        failed(life)
        before = time.monotonic()
        assert send(life, 0.2) == 0
        assert time.monotonic() - before < 2
    [(state, tries, problem)] = marks(life)
    assert (state, tries) == ("failed", "1")
    assert problem in {"ReadTimeout", "did not return within 0.2 s"}


def test_no_redirect_is_followed(life):
    elsewhere = WebhookReceiver()
    with served(elsewhere.app) as other, listening(life, WebhookReceiver(307, {"Location": f"{other}/stolen"})):
        failed(life)
        assert send(life) == 0
    assert (elsewhere.heard, marks(life)) == ([], [("failed", "1", "the address answers 307")])


def test_a_process_that_died_while_it_sent_is_replaced_and_the_id_stays(life):
    ear = WebhookReceiver()
    with listening(life, ear):
        failed(life)
        [event] = life.do(notices.due, "items", life.now)
        assert life.do(notices.update_delivery, event, event.delivery.begin(life.now))
        assert send(life) == 0
        life.go_on(seconds=60)
        assert send(life) == 1
        assert not life.do(
            notices.update_delivery, replace(event, delivery=event.delivery.begin(TEN)), event.delivery
        ), "it came too late"
    assert [key for _, key, _ in ear.heard] == [f"items-{event.id}"]
    assert marks(life) == [("sent", "2", None)]


def test_old_events_are_not_sent_and_no_secret_is_sent_or_kept(life):
    ear = WebhookReceiver()
    with listening(life, ear):
        failed(life, "of old")
        life.go_on(days=2)
        number = failed(life, f"https://user:{SECRET}@api.test/?token={SECRET} broke")
        assert send(life) == 1
    [(_, _, told)] = ear.heard
    assert told["import_id"] == number
    assert SECRET not in str(told)
    assert SECRET not in repr(life.source.configured(life.installation.settings.source("items")))


def with_hook(hook):
    return type("Spoken", (ItemsSource,), {"notify": lambda self, notice: hook(notice)})()


def test_a_function_is_called_and_its_error_fails_no_import(life):
    calls = []

    def hook(notice):
        calls.append((notice.occasion, notice.import_id))
        if len(calls) == 1:
            raise KeyError(SECRET)

    life.source = with_hook(hook)
    number = failed(life)
    assert send(life) == 0
    assert marks(life) == [("failed", "1", "KeyError")]
    life.go_on(minutes=1)
    assert send(life) == 1
    assert calls == [("failed", number)] * 2


def test_a_function_that_hangs_delays_no_import(life):
    released = threading.Event()
    life.source = with_hook(lambda notice: released.wait(30))
    failed(life)
    assert send(life, 0.1) == 0
    assert marks(life) == [("failed", "1", "did not return within 0.1 s")]
    released.set()


def test_without_a_hook_nothing_is_read_or_marked(life):
    failed(life)
    assert (send(life), marks(life)) == (0, [])


def test_an_import_sends_its_notice_at_its_end(home):
    ear = WebhookReceiver()
    with served(ear.app) as url:
        configured = settings(home, "http://127.0.0.1:9", ITEMS_NOTIFY_URL=f"{url}/")
        summary = run_import("items", settings=configured)
    [(_, _, told)] = ear.heard
    assert (summary.status, told["reason"]) == ("failed", f"Failed: {summary.failure_reason}.")
    assert notifications.SECONDS < 5
