"""A source in a few words, without a class."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

from import_pipeline.declarative.declared import Declared
from import_pipeline.declarative.parts import Answered, Batched, Changing, Detailed, Keyed, Listed, Sliced, Windowed


@dataclass(frozen=True)
class Column:
    """A declared column: `Column("amount", Numeric)`. The type is one of SQLAlchemy, or a word such as "integer"."""

    path: str  #: the path of the value in the detail, or in the list item: `customer.email`, `lines.0.sku`
    type: Any = "text"
    index: bool = False
    from_list: bool = False  #: True: only the list has the value, the detail does not


class RestSource(Declared):
    """A source that is declared in words instead of written as a class.

    source = RestSource(
        name="orders", base_url="https://api.example.com", limits="100/10 second",
        list="/orders", items="data", version="updated_at", pages=PageNumber(more="has_more"),
        detail="/orders/{id}", columns={"email": "customer.email", "total": Column("amount", Numeric)},
    )

    docs/sources/declarative.md has all words. They are the same in YAML and in the Dagster component. Raises
    ContractError, which names the key.
    """

    def __new__(cls, **words: Any) -> Self:
        """Return an instance with the hooks that the words need: a hook that is there has a meaning by itself."""
        if not words:  # a copy has its hooks
            return super().__new__(cls)
        is_sliced = bool(words.get("parent") or words.get("slices"))
        has_full_list = "{since}" not in repr(words.get("list"))  # else a full import reads all changes
        parts: list[type[Declared]] = [Sliced] if is_sliced else [Listed] if has_full_list else []
        parts += [Keyed] if words.get("slices") else []
        parts += [Windowed] if words.get("max_results") and isinstance(words.get("slices"), Mapping) else []
        parts += [Changing] if words.get("incremental") and not is_sliced else []
        parts += [Answered] if words.get("answers") else []
        parts += [Batched] if words.get("batch") else [Detailed]
        kind: type[Self] = _with(cls, tuple(parts))
        return super().__new__(kind)


@cache
def _with(cls: type[Any], parts: tuple[type[Declared], ...]) -> type[Any]:
    return type(cls.__name__, (*parts, cls), {"__module__": cls.__module__, "__doc__": cls.__doc__})
