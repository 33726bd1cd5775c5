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
def listening(simulation, ear):
    with served(ear.app) as url:
        simulation.source = items_source(notify_url=f"{url}/hook/{SECRET}")
        yield url


def started(simulation):
    simulation.advance(hours=3)
    return simulation.begin(simulation.slot(simulation.now))


def failed(simulation, reason="boom"):
    hand = started(simulation)
    hand.end(FAILED, reason)
    return hand.row.id


def send(simulation, seconds=5.0):
    return send_notices(simulation.installation, simulation.source, seconds)


def marks(simulation):
    """Return state, tries and problem of every event that was due."""
    with simulation.database.read() as connection:
        metadata = [row.metadata for row in connection.execute(select(import_events).order_by(import_events.c.id))]
    return [(*each["notice"].split(" ")[:2], each.get("notice_problem")) for each in metadata if "notice" in each]


def test_a_failed_import_is_reported_once(simulation):
    ear = WebhookReceiver()
    with listening(simulation, ear):
        number = failed(simulation)
        assert [send(simulation), send(simulation)] == [1, 0]
    [(path, key, body)] = ear.heard
    assert path == f"/hook/{SECRET}"
    assert body == {
        "text": f"items, import {number}: Failed: boom.",
        "id": key,
        "occasion": "failed",
        "source": "items",
        "import_id": number,
        "reason": "Failed: boom.",
        "at": simulation.now.isoformat(),
    }
    assert marks(simulation) == [("sent", "1", None)]


def test_the_occasions_of_a_notice(simulation):
    ear = WebhookReceiver()
    with listening(simulation, ear):
        hand = started(simulation)
        hand.discover("1", stopped="the list repeats itself")
        hand.succeed(hand.claim())
        hand.complete()
        started(simulation).import_all("1")
        started(simulation).end(CANCELLED)
        blocked = started(simulation)
        run = ImportRun(installation=simulation.installation, source=simulation.source)
        _pause(run, blocked.lease, ending_of(ApiBlocked("items", simulation.now + timedelta(hours=1))))
        assert send(simulation) == 2
    assert [(body["occasion"], body["import_id"]) for _, _, body in ear.heard] == [
        ("incomplete", hand.row.id),
        ("blocked", blocked.row.id),
    ]


def test_an_import_that_the_sensor_or_finalize_has_ended_is_notified(simulation):
    ear = WebhookReceiver()
    with listening(simulation, ear):
        hopeless = started(simulation)
        for _ in range(3):
            simulation.advance(seconds=61)
            hopeless = simulation.launch()
        simulation.advance(seconds=61)
        assert simulation.tick().launches == []
        left = started(simulation)
        left.discover("1", stopped="the list repeats itself")
        left.succeed(left.claim())
        left.leave()
        assert finalize.finalize(simulation.installation, left.row.id).ended
        assert send(simulation) == 2
    assert [(body["occasion"], body["import_id"]) for _, _, body in ear.heard] == [
        ("failed", hopeless.row.id),
        ("incomplete", left.row.id),
    ]


def test_many_processes_send_it_once(simulation):
    ear = WebhookReceiver()
    with listening(simulation, ear), ThreadPoolExecutor(8) as pool:
        failed(simulation)
        barrier = threading.Barrier(8)

        def at_once(_):
            barrier.wait()
            return send(simulation)

        assert sum(pool.map(at_once, range(8))) == 1
    assert len(ear.heard) == 1


def test_a_server_that_is_down_gets_it_later_and_not_for_ever(simulation):
    port = free_port()
    simulation.source = items_source(notify_url=f"http://127.0.0.1:{port}/{SECRET}")
    number = failed(simulation)
    failed(simulation)
    assert [send(simulation), send(simulation)] == [0, 0]
    assert marks(simulation) == [("failed", "1", "ConnectError"), ("failed", "1", "ConnectError")]
    for minutes in (1, 2, 4, 8, 16, 32):
        simulation.advance(minutes=minutes)
        assert [send(simulation), send(simulation)] == [0, 0]
    assert {(state, tries) for state, tries, _ in marks(simulation)} == {("failed", str(MAX_TRIES))}
    assert simulation.get(number).status is FAILED
    ear = WebhookReceiver()
    with listening(simulation, ear):
        another = failed(simulation)
        assert send(simulation) == 1
    assert [body["import_id"] for _, _, body in ear.heard] == [another]


def test_a_server_that_is_up_again_hears_it(simulation):
    ear = WebhookReceiver(status=500)
    with listening(simulation, ear):
        failed(simulation)
        assert send(simulation) == 0
        assert marks(simulation) == [("failed", "1", "the address answers 500")]
        ear.status = 200
        simulation.advance(seconds=59)
        assert send(simulation) == 0
        simulation.advance(seconds=1)
        assert send(simulation) == 1
    assert len({key for _, key, _ in ear.heard}) == 1


def test_a_server_that_hangs_delays_no_import(simulation):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        simulation.source = items_source(notify_url=f"http://127.0.0.1:{deaf.getsockname()[1]}/")
        failed(simulation)
        before = time.monotonic()
        assert send(simulation, 0.2) == 0
        assert time.monotonic() - before < 2
    [(state, tries, problem)] = marks(simulation)
    assert (state, tries) == ("failed", "1")
    assert problem in {"ReadTimeout", "did not return within 0.2 s"}


def test_no_redirect_is_followed(simulation):
    elsewhere = WebhookReceiver()
    with served(elsewhere.app) as other, listening(simulation, WebhookReceiver(307, {"Location": f"{other}/stolen"})):
        failed(simulation)
        assert send(simulation) == 0
    assert (elsewhere.heard, marks(simulation)) == ([], [("failed", "1", "the address answers 307")])


def test_a_process_that_died_while_it_sent_is_replaced_and_the_id_stays(simulation):
    ear = WebhookReceiver()
    with listening(simulation, ear):
        failed(simulation)
        [event] = simulation.call(notices.due, "items", simulation.now)
        assert simulation.call(notices.update_delivery, event, event.delivery.begin(simulation.now))
        assert send(simulation) == 0
        simulation.advance(seconds=60)
        assert send(simulation) == 1
        assert not simulation.call(
            notices.update_delivery, replace(event, delivery=event.delivery.begin(TEN)), event.delivery
        ), "it came too late"
    assert [key for _, key, _ in ear.heard] == [f"items-{event.id}"]
    assert marks(simulation) == [("sent", "2", None)]


def test_old_events_are_not_sent_and_no_secret_is_sent_or_kept(simulation):
    ear = WebhookReceiver()
    with listening(simulation, ear):
        failed(simulation, "of old")
        simulation.advance(days=2)
        number = failed(simulation, f"https://user:{SECRET}@api.test/?token={SECRET} broke")
        assert send(simulation) == 1
    [(_, _, body)] = ear.heard
    assert body["import_id"] == number
    assert SECRET not in str(body)
    assert SECRET not in repr(simulation.source.configured(simulation.installation.settings.source("items")))


def with_hook(hook):
    return type("Spoken", (ItemsSource,), {"notify": lambda self, notice: hook(notice)})()


def test_a_function_is_called_and_its_error_fails_no_import(simulation):
    calls = []

    def hook(notice):
        calls.append((notice.occasion, notice.import_id))
        if len(calls) == 1:
            raise KeyError(SECRET)

    simulation.source = with_hook(hook)
    number = failed(simulation)
    assert send(simulation) == 0
    assert marks(simulation) == [("failed", "1", "KeyError")]
    simulation.advance(minutes=1)
    assert send(simulation) == 1
    assert calls == [("failed", number)] * 2


def test_a_function_that_hangs_delays_no_import(simulation):
    released = threading.Event()
    simulation.source = with_hook(lambda notice: released.wait(30))
    failed(simulation)
    assert send(simulation, 0.1) == 0
    assert marks(simulation) == [("failed", "1", "did not return within 0.1 s")]
    released.set()


def test_without_a_hook_nothing_is_read_or_marked(simulation):
    failed(simulation)
    assert (send(simulation), marks(simulation)) == (0, [])


def test_an_import_sends_its_notice_at_its_end(home):
    ear = WebhookReceiver()
    with served(ear.app) as url:
        configured = settings(home, "http://127.0.0.1:9", ITEMS_NOTIFY_URL=f"{url}/")
        summary = run_import("items", settings=configured)
    [(_, _, body)] = ear.heard
    assert (summary.status, body["reason"]) == ("failed", f"Failed: {summary.failure_reason}.")
    assert notifications.SECONDS < 5
