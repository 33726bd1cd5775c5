"""The public face of the package, read from the code by running it: what must not change by accident.

`python -m import_pipeline_tests.support.public_face` prints it as YAML. With `--write` it replaces
unit/public_face.yaml: do that only for a change of the face that is meant, and name the change in CHANGELOG.md.
"""

import ast
import asyncio
import contextlib
import inspect
import io
import json
import os
import re
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

STORED = Path(__file__).parents[1] / "unit" / "public_face.yaml"
PACKAGE = Path(__file__).parents[2] / "import_pipeline"
#: Modules that documents import from, besides `import_pipeline` itself.
DOCUMENTED = (
    "contracts",
    "dagster",
    "defs.build",
    "defs.downstream",
    "definitions",
    "errors",
    "importer.installation",
    "ratelimit",
    "settings",
    "sources",
    "sources.items",
    "testing",
    "tracking.completions",
    "tracking.history",
)
#: One item of five is missing at the API: its import completes with a failed item.
API = ("--items", "5", "--limits", "none", "--fault", "3=status:404")
SOURCE = "items"
FAR = "04:30"


def public_face() -> dict[str, Any]:
    """Everything that users, their code or their monitoring may rely on, by area, as plain values."""
    with _prepared_folder() as folder:
        return {
            "settings": _settings(),
            "exports": {"import_pipeline": _exports("import_pipeline")}
            | {f"import_pipeline.{name}": _exports(f"import_pipeline.{name}") for name in DOCUMENTED},
            "contracts": _signatures(),
            "event actions": _actions(),
            "tables": _tables(),
            "commands": _commands(),
            "dagster definitions": _definitions(),
            "templates of new-source": _templates(folder),
            **_in_use(folder),
        }


@contextlib.contextmanager
def _prepared_folder() -> Iterator[Path]:
    """An empty current folder with a state folder of its own, and the demo API at its side."""
    from source_api.process import serve

    with tempfile.TemporaryDirectory() as name, serve(*API) as url, contextlib.chdir(name):
        os.environ |= {
            "IMPORT_PIPELINE_HOME": f"{name}/home",
            "ITEMS_BASE_URL": url,
            "ITEMS_TRIES": "1",
            "ITEMS_LIMITS": "4/1 second",
            "ITEMS_SLOTS": FAR,
            "COLUMNS": "200",
        }
        yield Path(name)


def _settings() -> dict[str, Any]:
    """Each setting with its type and default; None: no value, or one that depends on the place."""
    from import_pipeline import ImportSource
    from import_pipeline.settings import SETTINGS, SOURCE_SETTINGS, Settings, SourceSettings

    def row(setting: Any, fields: Mapping[str, Any], defaults: Any) -> dict[str, Any]:
        name = setting.name.removeprefix("IMPORT_PIPELINE_").lower()
        default = getattr(defaults, name, getattr(getattr(defaults, "retry", None), name, None))
        plain = default if isinstance(default, str | int | float | bool | None) else str(default)
        kind = fields[name].type
        return {"type": getattr(kind, "__name__", str(kind)), "default": plain, "secret": setting.secret}

    installation = {each.name: row(each, Settings.__dataclass_fields__, Settings) for each in SETTINGS}
    of_source = {each.name: row(each, SourceSettings.__dataclass_fields__, ImportSource) for each in SOURCE_SETTINGS}
    return {"installation": installation, "source": of_source}


def _exports(module: str) -> list[str]:
    """`__all__`; for a module without one the public names that it defines itself."""
    loaded = import_module(module)
    found = getattr(loaded, "__all__", None) or [
        name
        for name, value in vars(loaded).items()
        if not name.startswith("_")
        and getattr(value, "__module__", module) == module
        and not inspect.ismodule(value)
        and (inspect.isclass(value) or inspect.isfunction(value) or name in {"SOURCES", "defs", "definitions"})
    ]
    return sorted(found)


def _signatures() -> dict[str, Any]:
    """The members of what users implement and call, with their parameters."""
    import import_pipeline
    from import_pipeline import testing
    from import_pipeline.defs import build, downstream

    members = {name: getattr(import_pipeline, name) for name in import_pipeline.__all__}
    members |= {name: getattr(testing, name) for name in ("CannedTransport", "FakeClock", "rehearse")}
    members |= {name: getattr(build, name) for name in ("build_import_definitions", "join_definitions")}
    members |= {
        name: value
        for name, value in vars(downstream).items()
        if inspect.isfunction(value) and value.__module__ == downstream.__name__
    }
    return {name: _shape(value) for name, value in sorted(members.items())}


def _shape(value: Any) -> Any:
    if inspect.isfunction(value):
        return _parameters(value)
    if not inspect.isclass(value):
        return type(value).__name__
    own = [each for each in value.__mro__ if each.__module__.startswith("import_pipeline")]
    names = {name for each in own for name in (*vars(each), *getattr(each, "__annotations__", ()))}
    return {name: _member(value, name) for name in sorted(names) if not name.startswith("_")}


def _member(owner: type, name: str) -> str:
    value = inspect.getattr_static(owner, name, None)
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    return _parameters(value) if inspect.isfunction(value) else "attribute"


def _parameters(function: Any) -> str:
    names = (re.split("[:=]", str(each))[0].strip() for each in inspect.signature(function).parameters.values())
    return f"({', '.join(names)})"


def _actions() -> list[str]:
    """The names that stand in calls at the place of a parameter `action: str`: of events and of log lines."""
    trees = [ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    constants = {
        target.id: node.value.value
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    places: dict[str, set[int]] = {}
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for place, each in enumerate(one for one in node.args.args if one.arg != "self"):
                if each.arg == "action" and getattr(each.annotation, "id", "") == "str":
                    places.setdefault(node.name, set()).add(place)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            # A call may also hand the function on, with its arguments behind it.
            passed = [getattr(each, "attr", getattr(each, "id", "")) for each in node.args]
            for place in places.get(name, ()):
                found |= _texts(node.args[place : place + 1], constants)
            for place, other in enumerate(passed):
                if other in places:
                    found |= _texts(node.args[place + 1 :], constants)
    return sorted(each for each in found if re.fullmatch(r"[a-z]+(_([a-z0-9]+|{}))+", each))


def _texts(arguments: Sequence[ast.AST], constants: Mapping[str, str]) -> set[str]:
    found = set()
    for argument in arguments:
        for node in ast.walk(argument):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
                found.add("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif (name := getattr(node, "attr", getattr(node, "id", ""))) in constants:
                found.add(constants[name])
    return found


def _tables() -> dict[str, Any]:
    """The tracking tables and the example's: columns, keys, indexes."""
    from import_pipeline.sources.items import ImportedItem
    from import_pipeline.tracking.tables import imports

    return {table.name: _table(table) for table in (*imports.metadata.sorted_tables, ImportedItem.__table__)}


def _table(table: Any) -> dict[str, Any]:
    columns = {
        column.name: str(column.type)
        + ("" if column.nullable else " not null")
        + (" primary key" if column.primary_key else "")
        for column in table.columns
    }
    indexes = {}
    for index in table.indexes:
        names = ", ".join(str(each).split(".")[-1] for each in index.expressions)
        indexes[index.name] = f"{'unique ' if index.unique else ''}({names})"
    constraints = sorted(str(each.name) for each in table.constraints if each.name)
    return {"columns": columns, "indexes": dict(sorted(indexes.items())), "constraints": constraints}


def _commands() -> dict[str, Any]:
    """Each command with its arguments and options."""
    import click

    from import_pipeline.cli import COMMANDS

    found = {}
    for name, entry in COMMANDS.items():
        parameters = {}
        for each in entry.load().params:
            values = f" {'|'.join(each.type.choices)}" if isinstance(each.type, click.Choice) else f" {each.type.name}"
            kind = "flag" if getattr(each, "is_flag", False) else f"value{values}"
            plain = each.default if isinstance(each.default, str | int | bool | None) else None
            default = f", default {plain}" if plain is not None and kind != "flag" else ""
            names = " ".join(each.opts) if each.param_type_name == "option" else f"argument {each.name}"
            parameters[names] = f"{kind}{', required' if each.required else ''}{default}"
        found[name] = parameters
    return found


def _definitions() -> dict[str, Any]:
    """The Dagster definitions of one source, and the sensor that follows its imports."""
    import dagster as dg

    from import_pipeline.defs import downstream
    from import_pipeline.defs.build import join_definitions
    from import_pipeline.sources.items import ItemsSource

    [build_sensor] = [each for name, each in vars(downstream).items() if re.fullmatch(r"build_\w+_sensor", name)]
    made = dg.asset(name="report")(lambda: None)
    after = build_sensor(ItemsSource(), made)
    definitions = join_definitions([ItemsSource()])
    repository = definitions.get_repository_def()
    assets = {spec.key.to_user_string(): _asset(spec) for spec in definitions.resolve_all_asset_specs()}
    jobs = {job.name: _job(job) for job in repository.get_all_jobs() if not job.name.startswith("__")}
    return {
        "assets": dict(sorted(assets.items())),
        "asset checks": sorted(
            key.name for each in definitions.assets or () for key in getattr(each, "check_keys", ())
        ),
        "jobs": dict(sorted(jobs.items())),
        "schedules": {
            each.name: f"{each.cron_schedule} {each.execution_timezone}, {each.default_status.value}"
            for each in repository.schedule_defs
        },
        "sensors": {
            each.name: f"every {each.minimum_interval_seconds} s, {each.default_status.value}"
            for each in (*repository.sensor_defs, after)
        },
        "resources": sorted(repository.get_top_level_resources()),
    }


def _asset(spec: Any) -> dict[str, Any]:
    return {
        "group": spec.group_name,
        "kinds": sorted(spec.kinds),
        "tags": sorted(name for name in spec.tags if not name.startswith("dagster/kind/")),
        "metadata": sorted(spec.metadata),
        "partitions": getattr(spec.partitions_def, "name", None),
        "depends on": sorted(each.asset_key.to_user_string() for each in spec.deps),
    }


def _job(job: Any) -> dict[str, Any]:
    operations = {}
    for node in job.nodes:
        fields = getattr(node.definition.config_schema.config_type, "fields", {})
        operations[node.name] = sorted(fields)
    return {"tags": dict(sorted(job.tags.items())), "ops and their config": operations}


def _templates(folder: Path) -> dict[str, Any]:
    """The files that `new-source` writes: their imports, classes, functions and variables."""
    from import_pipeline.cli.new_source import write_source

    (folder / "written").mkdir()
    written = write_source("orders", folder / "written")
    return {path.name: _outline(ast.parse(path.read_text()).body) for path in written}


def _outline(body: Sequence[ast.stmt]) -> list[str]:
    found = []
    for node in body:
        if isinstance(node, ast.ImportFrom):
            found.append(f"from {node.module} import {', '.join(each.name for each in node.names)}")
        elif isinstance(node, ast.ClassDef):
            found += [f"class {node.name}", *(f"{node.name}.{each}" for each in _outline(node.body))]
        elif isinstance(node, ast.FunctionDef):
            found.append(f"def {node.name}")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            found += [ast.unparse(each) for each in (getattr(node, "targets", None) or [node.target])]
    return found


def _in_use(folder: Path) -> dict[str, Any]:
    """What is seen once something was imported: JSON, exit statuses, what Dagster holds, the panel."""
    from import_pipeline.settings import load_settings

    printed = _printed()
    settings = load_settings()
    return {
        "keys of --json": {name: keys for name, (keys, _) in printed.items() if keys},
        "exit statuses": {name: status for name, (_, status) in printed.items()},
        "dagster events": _dagster_events(settings),
        "panel": asyncio.run(_panel(settings)),
    }


def _printed() -> dict[str, tuple[list[str], int]]:
    """command -> (the keys that it prints, its exit status)."""
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
        out, status = _given(command.split())
        found[command] = (_keys(json.loads(out.splitlines()[-1])) if "--json" in command and out else [], status)
    return found


def _given(arguments: list[str]) -> tuple[str, int]:
    """What a command prints, and its exit status."""
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
    """A further worker of import 1, that `show` has one to list."""
    from sqlalchemy import insert

    from import_pipeline.importer.installation import open_installation
    from import_pipeline.tracking.tables import import_shards

    with open_installation() as installation, installation.database.write() as connection:
        values = {"import_id": 1, "number": 2, "ended_at": installation.clock.now(), "requests_count": 0}
        connection.execute(insert(import_shards).values(values))


def _keys(value: Any, path: str = "") -> list[str]:
    """Each key of a JSON value as a path: `imports[].status`."""
    if isinstance(value, dict):
        return sorted(
            {each for name, inner in value.items() for each in (f"{path}{name}", *_keys(inner, f"{path}{name}."))}
        )
    if isinstance(value, list):
        at = f"{path.removesuffix('.')}[]."
        return sorted({each for inner in value for each in _keys(inner, at)})
    return []


def _dagster_events(settings: Any) -> dict[str, Any]:
    """The tags of the run that imported, and the metadata of what it reported."""
    from import_pipeline.defs.instance import open_instance

    found: dict[str, set[str]] = {}
    with open_instance(settings) as instance:
        runs = instance.get_runs()
        tags = {name for run in runs for name in run.tags}
        for run in runs:
            for entry in instance.all_logs(run.run_id):
                event = entry.dagster_event
                data = event and (
                    getattr(event.event_specific_data, "materialization", None)
                    or (event.event_specific_data if event.event_type_value == "ASSET_CHECK_EVALUATION" else None)
                )
                if data is not None:
                    asset = event.asset_key.to_user_string() if event.asset_key else ""
                    kind = f"{event.event_type_value.lower()} {asset}{' of a partition' if event.partition else ''}"
                    name = getattr(data, "check_name", "")
                    found.setdefault(kind + name, set()).update(data.metadata)
    return {"tags of runs": sorted(tags), "metadata": {name: sorted(keys) for name, keys in sorted(found.items())}}


async def _panel(settings: Any) -> dict[str, Any]:
    """The panel's routes, the keys of its API, its metrics with their labels; one import runs meanwhile."""
    import httpx

    from import_pipeline.importer.installation import open_installation
    from import_pipeline.panel.app import ROUTES, create_panel
    from import_pipeline_tests.support.panel_client import HOST, add_import

    with open_installation(settings) as installation:
        now = datetime.now(UTC)
        add_import(
            installation, status="running", started_at=now, heartbeat_at=now, pid=os.getpid(), host=socket.gethostname()
        )
        panel = create_panel(installation)
        transport = httpx.ASGITransport(app=panel)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
            listed = (await client.get("/api/imports")).json()
            shown = [(await client.get(f"/api/imports/{each['import_id']}")).json() for each in listed["imports"]]
            scraped = (await client.get("/metrics")).text
        panel.state.panel.usage_reader.close()
    metrics: dict[str, set[str]] = {name: set() for name in re.findall(r"^# HELP (\w+)", scraped, re.MULTILINE)}
    for name, labels in re.findall(r"^(\w+)\{(.*)\} ", scraped, re.MULTILINE):
        metrics[name].update(re.findall(r'(\w+)="', labels))
    return {
        "routes": sorted(
            f"{'/'.join(sorted(getattr(each, 'methods', None) or ['GET']))} {each.path}" for each in ROUTES
        ),
        "GET /api/imports": _keys(listed),
        "GET /api/imports/ID": sorted({key for each in shown for key in _keys(each)}),
        "metrics": {name: sorted(labels) for name, labels in sorted(metrics.items())},
    }


def as_text(face: Mapping[str, Any]) -> str:
    """The face as the YAML that is stored."""
    return yaml.safe_dump(json.loads(json.dumps(face)), sort_keys=False, width=120)


def main() -> None:
    """Print the face, or store it."""
    warnings.simplefilter("ignore")
    text = as_text(public_face())
    if "--write" in sys.argv:
        STORED.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
