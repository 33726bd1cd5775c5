"""`panel`: serve the web page for operators until Ctrl-C."""

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from import_pipeline.cli.output.formatting import open_console, say
from import_pipeline.cli.servers import require_free_port, url
from import_pipeline.importer.installation import open_installation
from import_pipeline.logs import Form, set_up
from import_pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from import_pipeline.panel.security import AccessPolicy


@click.command()
@click.option("--quiet", is_flag=True, help="Do not print the address.")
def panel(quiet: bool) -> int:
    """Serve the web page that shows imports and can run, cancel, retry and delete them, until Ctrl-C."""
    from import_pipeline.panel.app import create_panel
    from import_pipeline.panel.server import server_of

    settings = load_settings()
    policy = access_policy(settings)
    require_free_port(settings.panel_port, "PANEL_PORT", settings.panel_host)
    set_up(settings.logs or Form.TEXT)
    with open_installation(settings) as installation:
        server = server_of(create_panel(installation, policy), host=settings.panel_host, port=settings.panel_port)
        if not quiet:
            say(open_console(sys.stderr), f"Panel  {url(local_host(settings), settings.panel_port)}  Ctrl-C stops it.")
        with suppress(KeyboardInterrupt):  # uvicorn shuts down and then re-raises the signal
            server.run()
    return 0


def access_policy(settings: Settings) -> "AccessPolicy":
    """Return who may enter. Raises SettingError if the settings would leave the panel open to other machines."""
    from import_pipeline.panel.security import AccessPolicy

    return AccessPolicy.of(settings)


def local_host(settings: Settings) -> str:
    """Return the host by which this machine reaches the panel."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.panel_host, settings.panel_host)  # noqa: S104  only compared, not bound
