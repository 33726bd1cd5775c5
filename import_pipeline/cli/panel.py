"""`panel`: the page for operators, until Ctrl-C."""

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
@click.option("--quiet", is_flag=True, help="Do not say the address.")
def panel(quiet: bool) -> int:
    """Serve the page that shows imports and lets people run, cancel, retry and delete them, until Ctrl-C."""
    from import_pipeline.panel.app import create_panel
    from import_pipeline.panel.server import server_of

    settings = load_settings()
    door = open_door(settings)
    require_free_port(settings.panel_port, "PANEL_PORT", settings.panel_host)
    set_up(settings.logs or Form.TEXT)
    with open_installation(settings) as installation:
        server = server_of(create_panel(installation, door), host=settings.panel_host, port=settings.panel_port)
        if not quiet:
            say(open_console(sys.stderr), f"Panel  {url(local_host(settings), settings.panel_port)}  Ctrl-C stops it.")
        with suppress(KeyboardInterrupt):  # uvicorn stops in order and then hands the signal on
            server.run()
    return 0


def open_door(settings: Settings) -> "AccessPolicy":
    """Who may enter. Raises SettingError where the settings would leave the panel open to other machines."""
    from import_pipeline.panel.security import AccessPolicy

    return AccessPolicy.of(settings)


def local_host(settings: Settings) -> str:
    """The host by which this machine finds the panel."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.panel_host, settings.panel_host)  # noqa: S104  it is looked up, not listened on
