"""Run configuration without references to environment variables.

Dagster's own conversion of a pydantic model accepts `{env: NAME}` for every text. A person with access to the launchpad
could then send any secret of the process to an API, or store it as an id. Plain Dagster fields accept values only.
"""

from typing import Any, Literal, get_args, get_origin

import dagster as dg
from pydantic import BaseModel
from pydantic.fields import FieldInfo


def plain_fields(model: type[BaseModel]) -> dict[str, dg.Field]:
    """Return the config schema of a model: its names, defaults and descriptions, without references to variables."""
    return {name: _field(f"{model.__name__}_{name}", field) for name, field in model.model_fields.items()}


def _field(name: str, field: FieldInfo) -> dg.Field:
    return dg.Field(
        _type(name, field.annotation),
        default_value=field.get_default(call_default_factory=True),
        is_required=False,
        description=field.description,
    )


def _type(name: str, annotation: Any) -> Any:
    if get_origin(annotation) is Literal:
        return dg.Enum(name, [dg.EnumValue(choice) for choice in get_args(annotation)])
    if get_origin(annotation) is list:
        return dg.Array(_type(name, get_args(annotation)[0]))
    return annotation  # Dagster takes bool, int and str as plain types
