"""The attributes of `RestImport` in a defs.yaml: the words of a declared source, and those of its assets.

Dagster replaces templates after it has read the file. A value that is no text may therefore be a template, too.
"""

from typing import Annotated, Any, Optional, Self

from dagster.components.resolved.core_models import AssetAttributesModel
from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    StringConstraints,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import InitErrorDetails

from import_pipeline.declarative.files import IN_DAGSTER_ONLY
from import_pipeline.declarative.reading import problem_of_key
from import_pipeline.declarative.words import Declaration, OptionWords
from import_pipeline.defs.components.plain_schema import plain_schema

Template = Annotated[str, StringConstraints(pattern=r"\{\{.*\}\}")]


class ComponentWords(Declaration):
    """The words of a declared source and of its place in Dagster."""

    translation: str | AssetAttributesModel | None = Field(  # type: ignore[valid-type]  # made by Dagster
        None,
        description="Changes of both assets. Templates have spec and source: key: raw/{{ spec.key.path[-1] }}.",
    )
    tracking_assets: bool = Field(
        False, description="True: define the tables of all imports as assets, too. In one component of a project only."
    )

    @model_validator(mode="wrap")
    @classmethod
    def _name_near_words(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Validate, and say of an unknown key which one was meant; Dagster adds the line of the file."""
        try:
            return handler(given)
        except ValidationError as error:
            raise ValidationError.from_exception_data(error.title, [_named(each) for each in error.errors()]) from None

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the schema that `dg check yaml` and editors read."""
        return plain_schema(super().model_json_schema(*args, **kwargs))


def _named(error: Any) -> InitErrorDetails:
    """Return a line of a ValidationError. Dagster repeats only errors of pydantic's own types: hence a ValueError."""
    line = InitErrorDetails(type=error["type"], loc=error["loc"], input=error["input"], ctx=error.get("ctx", {}))
    if error["type"] != "extra_forbidden":
        return line
    *path, key = map(str, error["loc"])
    problem = problem_of_key(path, key, IN_DAGSTER_ONLY)
    return {**line, "type": "value_error", "ctx": {"error": ValueError(problem)}}


def _with_templates() -> dict[str, Any]:
    return {
        name: (Optional[field.rebuild_annotation() | Template], field)  # noqa: UP045 - the annotation is a value
        for name, field in OptionWords.model_fields.items()
    }


RestImportModel = create_model("RestImportModel", __base__=ComponentWords, **_with_templates())
