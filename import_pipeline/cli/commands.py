"""Commands that import and show. Each calls one action and prints its result."""

from contextlib import closing
from typing import Any

import click

from import_pipeline.cli.options import as_json, confirm, fresh, full, import_id, refetch, source_argument, yes
from import_pipeline.cli.output import formatting, tables
from import_pipeline.cli.output.json import import_details_json, import_json, print_json, print_message
from import_pipeline.cli.output.slices import print_failed_slices
from import_pipeline.cli.progress_display import LiveDisplay
from import_pipeline.cli.run_all import FAILED, count_sentence, run_all
from import_pipeline.cli.run_in_foreground import print_failure_reason, print_outcome, run_in_foreground
from import_pipeline.importer.control.plan import plan_import
from import_pipeline.importer.installation import Installation, open_installation
from import_pipeline.importer.limiter_usage import UsageReader
from import_pipeline.importer.monitoring.queries import resolve_status, view_from, view_in
from import_pipeline.importer.source_loader import find_source, load_each
from import_pipeline.rules.external_ids import is_storable
from import_pipeline.rules.status import DISPLAY_STATUSES, ENDED
from import_pipeline.settings import load_settings
from import_pipeline.tracking import events, imports, items, queries
from import_pipeline.tracking.lists import slices
from import_pipeline.tracking.queries import Filter


@click.command()
@source_argument(required=False)
@click.option("--all", "every", is_flag=True, help="Import all listed sources, one after another.")
@full
@fresh
@refetch
@click.option("--limit", type=click.IntRange(1), help="Import only this many items, from the start of the list.")
@click.option("--only", help="Import only the items with these ids, separated by commas; skip the list.")
@yes
@as_json
def run(
    source: str | None,
    every: bool,
    full: bool,
    fresh: bool,
    refetch: bool,
    limit: int | None,
    only: str | None,
    yes: bool,
    as_json: bool,
) -> int:
    """Import SOURCE now, in this process, as a run of its Dagster job.

    Resumes an import whose process died. Exits with status 4 while another import runs;
    with --only, it first waits for that import, up to the source's limit (ITEMS_WAIT).

    --all imports all sources. One that fails, or cannot be configured, does not stop the others. The last line counts
    them, and the exit status is the worst of theirs: 4 if one failed, 3 if one is incomplete or has failed items.
    """
    ids = _chosen_ids(only, is_alone=not (limit or full or fresh or refetch or every))
    if every is (source is not None):
        raise click.UsageError("expected the name of a source, or --all for all of them")
    options: dict[str, Any] = {"full": full, "fresh": fresh, "refetch": refetch, "limit": limit}
    if source is None:
        return _run_all(options, yes=yes, as_json=as_json)
    with open_installation() as installation:
        if fresh and not yes:
            table = installation.source_to_read(source).model.__table__.name
            confirm(f"Import all of {table} again, then delete its rows that are no longer in the list?")
        summary = run_in_foreground(installation, source, **options, only=ids, show=not as_json)
        if as_json:
            print_json(summary.as_json())
        else:
            print_outcome(installation, summary)
    print_failure_reason(summary)
    return summary.exit_status


def _chosen_ids(only: str | None, *, is_alone: bool) -> list[str]:
    """Return the ids of `--only`. Raises click.UsageError."""
    if only is None:
        return []
    if not is_alone:
        raise click.UsageError("--only cannot be given together with --limit, --full, --fresh, --refetch or --all")
    ids = [part.strip() for part in only.split(",") if part.strip()]
    if not ids:
        raise click.UsageError("--only: expected ids separated by commas, got none")
    return ids


def _run_all(options: dict[str, Any], *, yes: bool, as_json: bool) -> int:
    """Import all sources; return the worst exit status."""
    settings = load_settings()
    sources, unloadable = load_each(settings)
    with open_installation(settings, sources) as installation:
        if options["fresh"] and not yes:
            question = f"Import all {len(sources)} sources again, then delete rows that are no longer in their lists?"
            confirm(question)
        outcomes = run_all(installation, unloadable, show=not as_json, **options)
    values = {"failed": sum(each.exit_status >= FAILED for each in outcomes)}
    print_message(count_sentence(outcomes), as_json, **values, sources=[each.as_json() for each in outcomes])
    return max((each.exit_status for each in outcomes), default=0)


@click.command("list")
@click.option("--source", help="Only imports of this source.")
@click.option("--status", type=click.Choice(DISPLAY_STATUSES), help="Only imports with this status.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many to list.")
@as_json
def list_imports(source: str | None, status: str | None, limit: int, as_json: bool) -> None:
    """List imports, the newest first.

    The column "done" counts imported, unchanged and permanently failed items.
    """
    with open_installation() as installation:
        names = [each.name for each in installation.sources]
        if source is not None:
            _refuse_unknown(installation, source)
        which = Filter(source=source, status=status)
        is_filtered = which != Filter()
        now = installation.clock.now()
        with installation.database.read() as connection:
            which = resolve_status(connection, installation, which, now)
            found = queries.find(connection, which, now, sort="id", limit=limit)
            views = [view_in(connection, installation, row, now) for row in found]
        if as_json:
            print_json({"imports": [import_json(view) for view in views]})
        else:
            tables.print_list(formatting.open_console(), views, names, is_filtered=is_filtered)


def _refuse_unknown(installation: Installation, source: str) -> None:
    """Raise SourceNotFound for an unknown source. One that was removed from the list may still have imports."""
    with installation.database.read() as connection:
        left = imports.latest(connection, source=source, limit=1) if is_storable(source) else []
    if not left:
        find_source(installation.sources, source)


@click.command()
@import_id
@click.option("--watch", "follow", is_flag=True, help="Show its progress until it ends.")
@as_json
def show(import_id: int, follow: bool, as_json: bool) -> None:
    """Show the import with this ID: figures, failed items with reasons, events."""
    with open_installation() as installation:
        if follow:
            _wait_for_end(installation, import_id)
        usage_reader = UsageReader(settings=installation.settings, clock=installation.clock)
        with closing(usage_reader), installation.database.read() as connection:
            now = installation.clock.now()
            found = queries.snapshot(connection, import_id)
            view = view_from(connection, installation, found, now, usage_reader)
            failed = items.failures(connection, import_id)
            happened = events.latest(connection, import_id)
            unread = slices.failures(connection, import_id) if view.row.slices_count is not None else []
        if as_json:
            print_json(import_details_json(view, failed, happened, found.shards, unread))
        else:
            console = formatting.open_console()
            tables.print_details(console, view, failed, happened, found.shards)
            print_failed_slices(console, unread)


def _wait_for_end(installation: Installation, import_id: int) -> None:
    """Show the progress of an import until it ends, if its source is listed. Raises ImportNotFound."""
    with installation.database.read() as connection:
        row = imports.get(connection, import_id)
    if installation.listed(row.source) is not None and row.status not in ENDED:
        with LiveDisplay(installation, import_id) as display:
            display.wait()


@click.command()
@source_argument()
@click.option("--full", is_flag=True, help="Estimate a full import, also if there is a bookmark.")
@as_json
def plan(source: str, full: bool, as_json: bool) -> None:
    """Estimate an import of SOURCE: its requests, and the least time under the limits.

    Requests one list page from the API. With a bookmark, it is the list of what changed since.
    """
    with open_installation() as installation:
        planned = plan_import(installation, installation.source_to_read(source), full=full)
        if as_json:
            print_json(planned.as_json())
        else:
            formatting.print_plan(formatting.open_console(), planned)
