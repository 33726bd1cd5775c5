"""The JSON outputs and exit statuses of commands."""

import contextlib
import io
import json
from typing import Any

SOURCE = "items"


def printed() -> dict[str, tuple[list[str], int]]:
    """Run each command; return command -> (keys of its JSON, exit status)."""
    commands = [
        "migrate --json",
        "new-source orders --json",
        "doctor --json",
        f"plan {SOURCE} --json",
        f"run {SOURCE} --json",
        "list --json",
        "show 1 --json",
        "finalize 1 --mark-gone --json",
        f"request {SOURCE} --json",
        f"reschedule {SOURCE} --json",
        f"start-scheduled {SOURCE} --json",
        f"schedule {SOURCE} --json",
        "retry 1 --json",
        "cancel 3 --yes --json",
        "retry 1 --json --reason again",
        f"resume {SOURCE} --json",
        "finalize 1 --json",
        "delete 2 --yes --json",
        "prune --days 30 --yes --json",
        "run unknown",
        "show 999",
        "delete 1",
        "--version",
        "list --no-such-option",
    ]
    found = {}
    for command in commands:
        if command.startswith("show 1"):
            _add_shard()
        out, status = _run(command.split())
        found[command] = (keys(json.loads(out.splitlines()[-1])) if "--json" in command and out else [], status)
    return found


def _run(arguments: list[str]) -> tuple[str, int]:
    """Run a command; return its output and its exit status."""
    from import_pipeline.cli import main

    out = io.StringIO()
    status = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        try:
            main(arguments)
        except SystemExit as ended:
            status = int(ended.code or 0)
    return out.getvalue(), status


def _add_shard() -> None:
    """Insert a second worker of import 1, so that `show` lists one."""
    from sqlalchemy import insert

    from import_pipeline.importer.installation import open_installation
    from import_pipeline.tracking.tables import import_shards

    with open_installation() as installation, installation.database.write() as connection:
        values = {"import_id": 1, "number": 2, "ended_at": installation.clock.now(), "requests_count": 0}
        connection.execute(insert(import_shards).values(values))


def keys(value: Any, path: str = "") -> list[str]:
    """Return each key of a JSON value as a path: `imports[].status`."""
    if isinstance(value, dict):
        return sorted(
            {each for name, inner in value.items() for each in (f"{path}{name}", *keys(inner, f"{path}{name}."))}
        )
    if isinstance(value, list):
        at = f"{path.removesuffix('.')}[]."
        return sorted({each for inner in value for each in keys(inner, at)})
    return []
