"""`up`: everything at once on this machine, until Ctrl-C."""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import click

from import_pipeline.cli.output.formatting import open_console, say
from import_pipeline.cli.panel import local_host, open_door
from import_pipeline.cli.servers import Servers, listens, require_free_port, url
from import_pipeline.errors import ImportPipelineError
from import_pipeline.importer.execution.signals import endings
from import_pipeline.importer.source_loader import load_sources
from import_pipeline.settings import Settings, load_settings

#: Dagster keeps under this name which schedules are switched off: every way to start it here has the same.
DEFINITIONS = "import_pipeline.definitions"
#: The advice of `dagster dev` to use `dg dev`, which is of no use to who has typed neither. A filter of its category
#: would have to be imported before Python has a path for it.
DEV_IS_SUPERSEDED = "ignore:Function `dev_command` is superseded:FutureWarning"


@click.command()
def up() -> int:
    """Serve the demo API, the Dagster UI with its daemon, and the panel, until Ctrl-C."""
    settings = load_settings()
    load_sources(settings)  # else Dagster says so, after a long time and at length
    require_free_port(settings.source_api_port, "SOURCE_API_PORT")
    require_free_port(settings.dagster_port, "DAGSTER_PORT")
    open_door(settings)
    require_free_port(settings.panel_port, "PANEL_PORT", settings.panel_host)
    servers = Servers(environment=environment_of_servers(settings))
    stop = threading.Event()
    for number in endings():
        signal.signal(number, lambda *_: stop.set())
    with _daemon_forgotten(settings):
        try:
            _start(servers, settings)
            _serve(
                servers,
                stop,
                {
                    "Demo API": ("127.0.0.1", settings.source_api_port),
                    "Dagster UI": ("127.0.0.1", settings.dagster_port),
                    "Panel": (local_host(settings), settings.panel_port),
                },
            )
        finally:
            servers.stop()
    return 0


def _start(servers: Servers, settings: Settings) -> None:
    servers.start("the demo API", "source_api", "--port", str(settings.source_api_port))
    servers.start(
        "Dagster",
        *("dagster", "dev", "-m", DEFINITIONS, "--port", str(settings.dagster_port)),
        *("--log-level", "warning"),  # the sensor's look every five seconds is on its page
    )
    servers.start("the panel", "import_pipeline", "panel", "--quiet")


def _serve(servers: Servers, stop: threading.Event, addresses: Mapping[str, tuple[str, int]]) -> None:
    """Say the addresses as soon as all answer; then wait for the end."""
    console = open_console(sys.stderr)
    told = False
    while not stop.wait(0.2):
        if (name := servers.ended()) is not None:
            raise ImportPipelineError(f"{name} has ended by itself; its last lines above say why")
        if not told and all(listens(port, host) for host, port in addresses.values()):
            told = True
            for server, (host, port) in addresses.items():
                say(console, f"{server:10}  {url(host, port)}")
            say(console, "Ctrl-C stops all.")


def environment_of_servers(settings: Settings) -> dict[str, str]:
    """Our own, and what they shall not find out otherwise than we did, wherever Dagster's processes look from."""
    warnings = filter(None, [os.environ.get("PYTHONWARNINGS"), DEV_IS_SUPERSEDED])
    return {
        **os.environ,
        "SOURCE_API_PORT": str(settings.source_api_port),
        "IMPORT_PIPELINE_HOME": str(settings.home),
        "DAGSTER_HOME": dagster_home(settings),
        "PYTHONWARNINGS": ",".join(warnings),
        # dagster.yaml turns telemetry off; the thread that would send it makes folders beside that file all the same.
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


@contextmanager
def _daemon_forgotten(settings: Settings) -> Iterator[None]:
    """The daemon that begins and ends meanwhile leaves no signs of life; those of others, of the same database, stay.

    So that the next wish is told at once that no daemon lives; where the database is gone, a minute later.
    """
    from import_pipeline.defs.instance import daemon_ids, delete_daemon_heartbeats

    others: frozenset[str | None] = frozenset()
    with suppress(ImportPipelineError, OSError):
        others = daemon_ids(settings)
    try:
        yield
    finally:
        with suppress(ImportPipelineError, OSError):
            delete_daemon_heartbeats(settings, others)


def dagster_home(settings: Settings) -> str:
    """The folder of the instance that our commands use, for Dagster's processes.

    Without links in it: else `dagster dev` takes it for another one than the current folder, and warns.
    """
    from import_pipeline.defs.instance import instance_folder

    return str(instance_folder(settings).resolve())
