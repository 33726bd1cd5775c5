"""The command that shows, sets or resets the bookmark of an incremental source."""

from typing import Any

import click

from import_pipeline.cli.control import user_name
from import_pipeline.cli.options import as_json, confirm, source_argument, yes
from import_pipeline.cli.output.json import print_message
from import_pipeline.importer.bookmarks.control import BookmarkState, set_bookmark, show_bookmark
from import_pipeline.importer.installation import open_installation
from import_pipeline.wording import iso, plural


@click.command()
@source_argument()
@click.option("--set", "value", help="Read from this position in the next import.")
@click.option("--reset", is_flag=True, help="Forget it: the next import reads the whole list.")
@yes
@as_json
def bookmark(source: str, value: str | None, reset: bool, yes: bool, as_json: bool) -> None:
    """Show the bookmark of SOURCE: the next import reads what changed since then.

    A running import is not affected. Changes between the old and a later new value are not read.
    """
    if value is not None and reset:
        raise click.UsageError("--set cannot be given together with --reset")
    with open_installation() as installation:
        found = installation.source_to_read(source)
        if value is None and not reset:
            state = show_bookmark(installation, found)
            print_message(_shown(source, state), as_json, **_values(source, state))
            return
        before = show_bookmark(installation, found).bookmark.value
        if not yes:
            what = "Reset the bookmark" if reset else f"Set the bookmark to {value}"
            confirm(f"{what} of {source}? It is {before or 'not set'} now.")
        state = set_bookmark(installation, found, None if reset else value, by=user_name())
        print_message(_changed(source, state), as_json, **_values(source, state))


def _shown(source: str, state: BookmarkState) -> str:
    found = state.bookmark
    if found.value is None:
        text = f"{source} has no bookmark: its next import reads the whole list."
    else:
        mover = f"import {found.import_id}" if found.import_id is not None else "a person"
        text = f"The bookmark of {source} is {found.value}, set by {mover}{_at(found.moved_at)}."
    if found.full_import_id is not None:
        text += f" The last complete full import was import {found.full_import_id}."
    return text + _owed(state)


def _changed(source: str, state: BookmarkState) -> str:
    value = state.bookmark.value
    text = f"Set the bookmark of {source} to {value}." if value else f"Reset the bookmark of {source}."
    text += f" It was {state.before}." if state.before is not None else " There was none."
    if state.running is not None:
        text += f" Import {state.running} is running: it reads on from where it began."
    return text + _owed(state)


def _owed(state: BookmarkState) -> str:
    if not state.owed:
        return ""
    return f" The next import also fetches {plural(state.owed, 'item')} that failed before."


def _at(moment: Any) -> str:
    return "" if moment is None else f" at {moment:%Y-%m-%d %H:%M:%S} UTC"


def _values(source: str, state: BookmarkState) -> dict[str, Any]:
    found = state.bookmark
    return {
        "source": source,
        "bookmark": found.value,
        "before": state.before,
        "moved_at": iso(found.moved_at),
        "import_id": found.import_id,
        "full_import_id": found.full_import_id,
        "owed_items_count": state.owed,
    }
