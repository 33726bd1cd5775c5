"""Run configuration of plain values.

Dagster's own conversion of a model lets every text be `{env: NAME}`. Whoever may press a button in the launchpad could
then have any secret of the process sent to an API, or stored as an id.
"""

from typing import Any, Literal, get_args, get_origin

import dagster as dg
from pydantic import BaseModel
from pydantic.fields import FieldInfo


def plain_fields(model: type[BaseModel]) -> dict[str, dg.Field]:
    """The config schema of a model: the same names, defaults and descriptions, without references to variables."""
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
    return annotation  # bool, int and str are Dagster's plain types
