"""One row of the table of settings: the parsing of a variable, and the error for a wrong value."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from import_pipeline.errors import SettingError
from import_pipeline.redaction import HIDDEN, register

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Setting(Generic[T]):
    """One row of the table: the name, parser and meaning of a variable.

    `expected` completes the sentence "expected …, got …". A secret's value never appears in an error.
    """

    name: str
    parse: Callable[[str], T]
    expected: str
    default: str
    meaning: str
    secret: bool = False
    is_inherited: bool = True  #: a tenant without a value of its own has that of its class

    def read(self, environment: Mapping[str, str], prefix: str = "") -> T | None:
        """Return the parsed value, or None if the variable is absent or empty. Raises SettingError."""
        name = prefix + self.name
        raw = environment.get(name, "").strip()
        if not raw:
            return None
        if self.secret or "://" in raw:
            register(raw)
        try:
            return self.parse(raw)
        except ValueError as error:
            raise SettingError(name, self.expected, self.shown(raw)) from error

    def shown(self, raw: str) -> str:
        """Return the value as an error quotes it. An address may hold a password even if the setting is no secret."""
        if self.secret:
            return HIDDEN
        return repr(re.sub(r"(?<=[?&#]).*", "***", re.sub(r"//.*@", "//***@", raw)))
