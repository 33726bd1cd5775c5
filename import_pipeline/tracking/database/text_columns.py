"""Column types for texts that come from an API."""

from sqlalchemy import Dialect, Text, TypeDecorator

from import_pipeline.redaction import redact
from import_pipeline.wording import visible


class Storable(TypeDecorator[str]):
    """Text of an API: characters that no database stores (a zero byte, half a character) are replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text as every database accepts it."""
        return None if value is None else value.encode(errors="replace").decode().replace("\0", "?")


class Sentence(Storable):
    """Text for people that may quote an API: secrets are masked, control characters are escaped."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text without secrets, on one line."""
        return super().process_bind_param(value if value is None else visible(redact(value)), dialect)
