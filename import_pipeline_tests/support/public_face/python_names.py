"""The Python names: exports, signatures, event actions, and the contents of `new-source` files."""

import ast
import inspect
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

#: The package that is tested: a checkout's, or an installed one.
PACKAGE = Path(str(find_spec("import_pipeline").origin)).parent  # type: ignore[union-attr]


def exports(module: str) -> list[str]:
    """Return a module's `__all__`; without one, the public names that it defines itself."""
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


def signatures() -> dict[str, Any]:
    """Return the members of the classes and functions that users implement or call, with their parameters."""
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


def actions() -> list[str]:
    """Return the actions of events and log lines: the arguments for a parameter `action: str` in any call."""
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
            # A call may also pass the function itself, followed by its arguments.
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


def templates(folder: Path) -> dict[str, Any]:
    """Return the imports, classes, functions and variables of the files that `new-source` writes."""
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
