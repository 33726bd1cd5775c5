"""`dg scaffold defs import_pipeline.RestImport NAME`: write a defs.yaml to fill in."""

import re
from pathlib import Path
from textwrap import indent

import click
import dagster as dg
from dagster.components.component_scaffolding import scaffold_component
from pydantic import BaseModel, Field

from import_pipeline.declarative.starter import starter


class Answers(BaseModel):
    """The options of the command."""

    base_url: str = Field("https://api.example.com", description="The address of the API.")


class RestImportScaffolder(dg.Scaffolder[Answers]):
    """Writes the words that most sources need."""

    @classmethod
    def get_scaffold_params(cls) -> type[Answers]:
        """Return the options of the command."""
        return Answers

    def scaffold(self, request: dg.ScaffoldRequest[Answers]) -> None:
        """Write defs.yaml, and print what the command line and the panel need to find the source."""
        if request.scaffold_format == "python":
            scaffold_component(request)
            return
        name = re.sub(r"\W", "_", request.target_path.name).lower()
        if not name[:1].isalpha():
            name = f"source_{name}"
        words = indent(starter(name, request.params.base_url), "  ")
        text = f"type: {request.type_name}\n\nattributes:\n{words}"
        path = request.target_path / "defs.yaml"
        with path.open("a" if request.append else "w", encoding="utf-8") as file:
            file.write(f"---\n{text}" if request.append else text)
        click.echo(f"Fill in {_below(path, request.project_root)}. For the command line and the panel, add to .env:")
        click.echo(f"  IMPORT_PIPELINE_SOURCES={_pattern(path, request.project_root)}")


def _below(path: Path, root: Path | None) -> Path:
    return path.relative_to(root) if root is not None and path.is_relative_to(root) else path


def _pattern(path: Path, root: Path | None) -> str:
    """Return the pattern of all defs.yaml files below the folder `defs`."""
    parts = _below(path, root).parts
    if "defs" not in parts[:-1]:
        return str(_below(path, root))
    return "/".join([*parts[: parts.index("defs") + 1], "**", path.name])
