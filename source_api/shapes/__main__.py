"""The command line of the shapes: `python -m source_api.shapes NAME`."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import click
import uvicorn

from source_api.commands import run_command
from source_api.server import address_of, configuration, listen, run_server
from source_api.shapes import SHAPES, TOKEN, Shape, ShapeOptions
from source_api.shapes.oauth import CLIENT_ID, CLIENT_SECRET, FIRST_REFRESH_TOKEN

DEFAULTS: dict[str, Any] = {each.name: each.default for each in fields(ShapeOptions)}
EPILOG = f"""\b
For tests and benchmarks, without limits:
  GET  /_stats   requests, by_kind, by_status, refused, refusals, peak_concurrency, seconds
  POST /_reset   reset the counters
  POST /_change  {{"update": [3, 7], "delete": [5], "add": 2}}

\b
Access: the token {TOKEN}
  oauth: the client {CLIENT_ID} with the secret {CLIENT_SECRET}, or the refresh token {FIRST_REFRESH_TOKEN}
"""


@click.command(epilog=EPILOG, context_settings={"show_default": True, "max_content_width": 100})
@click.argument("name", type=click.Choice(list(SHAPES)))
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=8000, type=click.IntRange(0, 65535), help="Port to listen on; 0 for any free one.")
@click.option("--items", default=DEFAULTS["items"], type=int, metavar="N", help="Records at the start.")
@click.option("--limits", default="", metavar="TIERS", help="Limits in place of the shape's own.")
@click.option("--delay", "delay_ms", default=0.0, metavar="MS", help="Wait before each answer.")
@click.option("--page", default=DEFAULTS["page"], type=int, metavar="N", help="The most items of a page.")
@click.option("--cap", default=DEFAULTS["cap"], type=int, metavar="N", help="Results after which a search ends.")
@click.option("--children", default=DEFAULTS["children"], type=int, metavar="N", help="The most children of a record.")
@click.option("--token-seconds", default=60.0, metavar="SECONDS", help="Life of an access token.")
def command(*, name: str, host: str, port: int, **chosen: Any) -> None:
    """A small, strict API in one of the usual styles. It refuses and counts whatever breaks its rules."""
    run(SHAPES[name](ShapeOptions(**chosen)), host=host, port=port, say=click.echo)


def run(shape: Shape, *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. `say` receives one line once the port is bound."""
    with listen(host, port) as listener:
        say(f"Shape {shape.name} on {address_of(host, listener)} ({shape.options.items} items)")
        run_server(uvicorn.Server(configuration(shape.app)), listener)


def main(arguments: list[str] | None = None) -> None:
    """Run the command. Errors print one sentence and exit with status 2."""
    run_command(command, "source_api.shapes", arguments)


if __name__ == "__main__":
    main()
