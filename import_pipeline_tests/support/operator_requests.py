"""Requests of operators, and the rows that record them, for tests of `importer.control`."""

from datetime import timedelta

from import_pipeline.importer.control.requests import request_import
from import_pipeline_tests.support.lifecycle import TEN, at

WHO = {"by": "Ada", "reason": "the boss asked"}


def ask(simulation, kind, **more):
    """Request an import as Ada; return the id of the request."""
    return request_import(simulation.installation, simulation.source, kind, **{**WHO, **more}).id


def launched(result):
    """Return the ids of the imports that a tick launches."""
    return [launch.import_id for launch in result.launches]


def assert_recorded(simulation, **expected):
    """Assert that the only request has these values, besides those that `ask` gives it by default."""
    [request] = simulation.requests()
    common = {"source": "items", "requested_by": "Ada", "reason": "the boss asked", "requested_at": TEN, "fresh": False}
    shown = {name: request[name] for name in {*common, *expected}}
    assert shown == common | expected


def broken_import(simulation):
    """Start an import with one item of each outcome: imported, failed, failed with a next try, not tried."""
    simulation.slot(at(9))
    hand = simulation.launch()
    hand.discover("done", "bad", "waiting", "untried")
    hand.succeed(hand.claim(1))
    hand.fail(hand.claim(1))
    hand.fail(hand.claim(1), again=timedelta(minutes=1))
    return hand
