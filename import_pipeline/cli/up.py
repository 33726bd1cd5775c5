"""`up`: serve everything on this machine until Ctrl-C."""

import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

import click

from import_pipeline.cli.demo import LIMITS
from import_pipeline.cli.output.formatting import open_console, say
from import_pipeline.cli.panel import access_policy, local_host
from import_pipeline.cli.servers import Servers, listens, require_free_port, url
from import_pipeline.contracts import ImportSource
from import_pipeline.errors import ImportPipelineError
from import_pipeline.importer.execution.signals import stop_signals
from import_pipeline.importer.source_loader import load_sources
from import_pipeline.settings import Settings, load_settings
from import_pipeline.sources.items import ItemsSource

#: Dagster stores under this name which schedules are switched off, so every way to start it here uses this name.
DEFINITIONS = "import_pipeline.definitions"
#: Enough for an import of half a minute and more under the demo's limits, so that there is something to watch.
DEMO_ITEMS = "800"
#: Hides the advice of `dagster dev` to use `dg dev`, since the user typed neither. Filtering by category would need an
#: import before Python has a path for it.
DEV_IS_SUPERSEDED = "ignore:Function `dev_command` is superseded:FutureWarning"


@click.command()
def up() -> int:
    """Serve the Dagster UI with its daemon, the panel, and the demo API if its source is listed, until Ctrl-C."""
    settings = load_settings()
    with_demo = needs_demo_api(settings, load_sources(settings))  # fails fast: Dagster would report it late
    if with_demo:
        require_free_port(settings.source_api_port, "SOURCE_API_PORT")
    require_free_port(settings.dagster_port, "DAGSTER_PORT")
    access_policy(settings)
    require_free_port(settings.panel_port, "PANEL_PORT", settings.panel_host)
    servers = Servers(environment=environment_of_servers(settings, with_demo=with_demo))
    stop = threading.Event()
    for number in stop_signals():
        signal.signal(number, lambda *_: stop.set())
    with _without_stale_heartbeats(settings):
        try:
            _start(servers, settings, with_demo=with_demo)
            _serve(servers, stop, _addresses(settings, with_demo=with_demo))
        finally:
            servers.stop()
    return 0


def needs_demo_api(settings: Settings, sources: Iterable[ImportSource]) -> bool:
    """Return True if the example source is listed and its address is the demo API's."""
    address = settings.environment.get("ITEMS_BASE_URL") or ItemsSource.base_url
    own = {f"http://{host}:{settings.source_api_port}" for host in ("127.0.0.1", "localhost")}
    return any(type(source) is ItemsSource for source in sources) and address.rstrip("/") in own


def _addresses(settings: Settings, *, with_demo: bool) -> dict[str, tuple[str, int]]:
    demo = {"Demo API": ("127.0.0.1", settings.source_api_port)} if with_demo else {}
    return demo | {
        "Dagster UI": ("127.0.0.1", settings.dagster_port),
        "Panel": (local_host(settings), settings.panel_port),
    }


def _start(servers: Servers, settings: Settings, *, with_demo: bool) -> None:
    if with_demo:
        port = str(settings.source_api_port)
        servers.start("the demo API", "source_api", "--port", port, "--limits", LIMITS, "--items", DEMO_ITEMS)
    servers.start(
        "Dagster",
        *("dagster", "dev", "-m", DEFINITIONS, "--port", str(settings.dagster_port)),
        *("--log-level", "warning"),  # the ticks of the sensor are on its page
    )
    servers.start("the panel", "import_pipeline", "panel", "--quiet")


def _serve(servers: Servers, stop: threading.Event, addresses: Mapping[str, tuple[str, int]]) -> None:
    """Print the addresses once all answer, then wait for the end."""
    console = open_console(sys.stderr)
    say(console, "Starting. Dagster needs 20 to 40 seconds.")
    is_printed = False
    while not stop.wait(0.2):
        if (name := servers.ended()) is not None:
            raise ImportPipelineError(f"{name} ended by itself; see its last lines above")
        if not is_printed and all(listens(port, host) for host, port in addresses.values()):
            is_printed = True
            for server, (host, port) in addresses.items():
                say(console, f"{server:10}  {url(host, port)}")
            say(console, "Ctrl-C stops all.")
    say(console, "Stopping: Dagster ends its runs first. A running import keeps what it has, and resumes next time.")


def environment_of_servers(settings: Settings, *, with_demo: bool = False) -> dict[str, str]:
    """Return our environment with the values that we resolved, so that Dagster's processes use the same ones.

    With the demo API, its limits are those of the example source, unless a setting names others.
    """
    demo = {"ITEMS_LIMITS": settings.environment.get("ITEMS_LIMITS") or LIMITS} if with_demo else {}
    warnings = filter(None, [os.environ.get("PYTHONWARNINGS"), DEV_IS_SUPERSEDED])
    return {
        **os.environ,
        **demo,
        "SOURCE_API_PORT": str(settings.source_api_port),
        "IMPORT_PIPELINE_HOME": str(settings.home),
        "DAGSTER_HOME": dagster_home(settings),
        "PYTHONWARNINGS": ",".join(warnings),
        # dagster.yaml turns telemetry off, but its thread would still create folders beside that file.
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


@contextmanager
def _without_stale_heartbeats(settings: Settings) -> Iterator[None]:
    """Delete the heartbeats of the daemon that runs during the context; those of other daemons stay.

    The next request then reports immediately that no daemon runs, instead of a minute later.
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
    """Return the folder of the instance that our commands use, for Dagster's processes.

    Links are resolved: `dagster dev` would take the folder for another one than the current folder, and warn.
    """
    from import_pipeline.defs.instance import instance_folder

    return str(instance_folder(settings).resolve())
