"""The command line of the demo API: `python -m source_api`."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from source_api.commands import run_command
from source_api.drift import Order
from source_api.options import Options
from source_api.server import run
from source_api.throttle import WindowKind

DEFAULTS = {field.name: field.default for field in fields(Options)}
EPILOG = """\b
Faults; append *N to limit one to the first N requests:
  17=status:500*2      item 17 answers 500 twice, then normally
  23=status:429:5*1    item 23 answers 429 with Retry-After: 5 (1 if left out)
  19=garbage           truncated JSON
  22=body:[1,2]        status 200 with this body
  20=hang   21=drop    no answer; the connection closed without one
  page:2=status:500*1  the same for page 2 of the list

\b
Changes of the list, each after a page was served for the first time:
  2=delete    after page 2 the list's first item is deleted
  2=insert*3  after page 2 three items are inserted: first with --order newest, else last

\b
Endpoints without limits, for tests and benchmarks:
  GET  /health  answers if the server runs
  GET  /_stats  counters: requests, by_status, rate_limited, ...
  GET  /_log    [monotonic seconds, path, status] of every admitted request
  POST /_reset  resets counters, windows and faults
"""


@click.command(epilog=EPILOG, context_settings={"show_default": True, "max_content_width": 100})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=8000, type=click.IntRange(0, 65535), help="Port to listen on; 0 for any free one.")
@click.option("--items", default=DEFAULTS["items"], type=int, metavar="N", help="Number of items in a new database.")
@click.option(
    "--seed",
    default=DEFAULTS["seed"],
    type=int,
    metavar="N",
    help="The same seed gives the same items.",
)
@click.option("--database", type=click.Path(path_type=Path, dir_okay=False), help="SQLite file for the items.")
@click.option("--limits", default=DEFAULTS["limits"], metavar="TIERS", help="Requests per client, or 'none'.")
@click.option(
    "--window",
    default=DEFAULTS["window"].value,
    type=click.Choice(WindowKind, case_sensitive=False),
    help="Kind of rate-limit window.",
)
@click.option("--delay-before", "delay_before_ms", default=0.0, metavar="MS", help="Wait before a request is counted.")
@click.option("--delay-after", "delay_after_ms", default=0.0, metavar="MS", help="Wait before the response.")
@click.option("--jitter", "jitter_ms", default=0.0, metavar="MS", help="At most this much is added at random to each.")
@click.option("--fault", "faults", multiple=True, metavar="ID=WHAT", help="Planned fault, see below; repeatable.")
@click.option(
    "--order",
    default=DEFAULTS["order"].value,
    type=click.Choice(Order, case_sensitive=False),
    help="Items at the head of the list.",
)
@click.option(
    "--drift", "drifts", multiple=True, metavar="PAGE=WHAT", help="Planned list change, see below; repeatable."
)
@click.option("--token", metavar="SECRET", help="Bearer token that each request must have.")
@click.option(
    "--no-headers",
    "rate_headers",
    is_flag=True,
    default=True,
    flag_value=False,
    show_default=False,
    help="Send no X-RateLimit headers.",
)
@click.option(
    "--no-retry-after",
    "retry_after",
    is_flag=True,
    default=True,
    flag_value=False,
    show_default=False,
    help="Send no Retry-After.",
)
def command(*, host: str, port: int, **chosen: Any) -> None:
    """A paginated API with rate limits in tiers, to import from and to test failures with."""
    run(Options(**chosen), host=host, port=port, say=click.echo)


def main(arguments: list[str] | None = None) -> None:
    """Run the command. Errors print one sentence and exit with status 2."""
    run_command(command, "source_api", arguments)


if __name__ == "__main__":
    main()
