"""What the commands take as the number of an import."""

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    IntParameter = click.ParamType[int]
else:  # click knows the type of a parameter's value since 8.4
    IntParameter = click.ParamType


class ImportId(IntParameter):
    """A whole number from 1; that there is such an import is seen later."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; click's own error for anything else says what it lacks in words of no use to people."""
        text = str(value)
        if not (text.isascii() and text.isdecimal() and text.strip("0")):
            self.fail(f"expected the number of an import, as `import-pipeline list` tells it, got {text!r}", param, ctx)
        return int(text[:40])


import_id = click.argument("import_id", type=ImportId(), metavar="ID")
