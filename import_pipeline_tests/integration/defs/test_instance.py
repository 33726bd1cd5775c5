"""The instance that the commands share with Dagster's own."""

import time
from pathlib import Path

from dagster._daemon.types import DaemonHeartbeat

from import_pipeline.defs.instance import daemon_ids, delete_daemon_heartbeats, last_daemon_heartbeat, open_instance
from import_pipeline.settings import load_settings

ROOT = Path(__file__).parents[3]


def beat(instance, daemon, kind, at):
    instance.add_daemon_heartbeat(DaemonHeartbeat(timestamp=at, daemon_type=kind, daemon_id=daemon))


def test_heartbeats_of_ended_daemons_are_deleted_and_others_kept(home, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(ROOT))
    settings, now = load_settings(), time.time()
    with open_instance(settings) as instance:
        for kind in ("SENSOR", "SCHEDULER"):
            beat(instance, "theirs", kind, now - 20)
        others = daemon_ids(settings)
        beat(instance, "ours", "SENSOR", now)  # over theirs, which they give again
        delete_daemon_heartbeats(settings, others)
        assert (others, last_daemon_heartbeat(instance)) == ({"theirs"}, now - 20)
        delete_daemon_heartbeats(settings, ())
        assert last_daemon_heartbeat(instance) is None
