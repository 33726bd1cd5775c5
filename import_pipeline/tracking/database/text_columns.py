"""Column types for texts that come from an API or a person."""

from sqlalchemy import Dialect, String, Text, TypeDecorator

from import_pipeline.redaction import redact
from import_pipeline.rules.external_ids import storable
from import_pipeline.wording import visible

LONGEST_NAME = 200


class Storable(TypeDecorator[str]):
    """Text of an API: characters that no database stores (a zero byte, half a character) are replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text as every database accepts it."""
        return None if value is None else storable(value)


class Name(TypeDecorator[str]):
    """The name of a person, as a terminal or a proxy gives it: control characters are escaped, a long one is cut."""

    impl = String(LONGEST_NAME)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the beginning of the name, on one line."""
        return None if value is None else storable(visible(value))[:LONGEST_NAME]


class Sentence(Storable):
    """Text for people that may quote an API: secrets are masked, control characters are escaped."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text without secrets, on one line."""
        return super().process_bind_param(value if value is None else visible(redact(value)), dialect)
