"""The secrets in a source's requests, by name: a checkpoint stores the name instead of the value."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote, quote_plus

import httpx

from import_pipeline.contracts import Connector
from import_pipeline.redaction import HARMLESS, SECRETS, SHORTEST, is_harmless_parameter, is_sensitive_name
from import_pipeline.settings import SOURCE_SETTINGS, Settings, variable_prefix

#: A stored text, or its pieces: `{"secret": name}` stands for a value that is filled in on reading.
StoredText = str | list[Any]

#: Shorter variables of a source (`ORDERS_SORT=asc`) would match inside other words by chance.
SHORTEST_VARIABLE = 6


class KnownSecrets:
    """Secret values by name: all values of settings and connector, whatever parameter of a request they are in.

    `declared` are settings that only authenticate; other values may also select what a request returns.
    """

    def __init__(self, values: Iterable[tuple[str, str]] = (), declared: Iterable[str] = ()) -> None:
        self._declared = frozenset(declared)
        self._values: dict[str, str] = {}
        for name, value in values:
            for form, text in _forms(value):
                if text not in self._values.values():
                    self._values[name + form] = text

    def hide(self, text: str) -> StoredText | None:
        """Return the text with names in place of secrets; None if it holds another secret, without a name."""
        pieces = self._pieces(text)
        if any(isinstance(piece, str) and SECRETS.holds(piece) for piece in pieces):
            return None
        return text if pieces == [text] else pieces

    def show(self, stored: StoredText) -> str:
        """Return the text that was hidden. Raises KeyError for an unknown secret."""
        if isinstance(stored, str):
            return stored
        return "".join(piece if isinstance(piece, str) else self._values[piece["secret"]] for piece in stored)

    def mask(self, text: str) -> str:
        """Return the text with names instead of declared secrets, so that a new token does not change it."""
        return "".join(
            piece
            if isinstance(piece, str)
            else f"<{piece['secret']}>"
            if piece["secret"].partition("|")[0] in self._declared
            else self._values[piece["secret"]]
            for piece in self._pieces(text)
        )

    def _pieces(self, text: str) -> list[Any]:
        pieces: list[Any] = [text]
        for name, value in sorted(self._values.items(), key=lambda pair: len(pair[1]), reverse=True):
            pieces = [part for piece in pieces for part in _split(piece, name, value)]
        return pieces


def secrets_of(source: str, settings: Settings, connector: Connector) -> KnownSecrets:
    """Return the secrets of the source's settings and of its connector."""
    declared = [variable_prefix(source) + setting.name for setting in SOURCE_SETTINGS if setting.secret]
    return KnownSecrets([*_of_settings(source, settings), *_of_connector(connector)], declared)


def _of_settings(source: str, settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the secret settings, and further variables of the source that are not known settings."""
    prefix = variable_prefix(source)
    is_secret = {prefix + setting.name: setting.secret for setting in SOURCE_SETTINGS}
    for name, value in settings.environment.items():
        text = value.strip()
        is_own = name not in is_secret and (name.startswith(prefix) or is_sensitive_name(name))
        if (is_secret.get(name) and len(text) >= SHORTEST) or (is_own and len(text) >= SHORTEST_VARIABLE):
            yield name, text


def _of_connector(connector: Connector) -> Iterator[tuple[str, str]]:
    for name, value in connector.headers.items():
        if name.lower() not in HARMLESS:
            for number, part in enumerate([value, *value.split(" ", 1)[1:]]):
                if len(part) >= SHORTEST:
                    yield f"connector:{name.lower()}:{number}", part
    for name, value in connector.params.items():  # an API may repeat them in its links
        if not is_harmless_parameter(name) and len(value) >= SHORTEST:
            yield f"connector:param:{name}", value
    url = httpx.URL(connector.base_url)
    for name, part in (("username", url.username), ("password", url.password)):
        if len(part) >= SHORTEST:
            yield f"connector:{name}", part


def _forms(value: str) -> Iterator[tuple[str, str]]:
    """Yield the value as it is, and as addresses and forms hold it."""
    yield "", value
    yield "|quoted", quote(value, safe="")
    yield "|quoted-plus", quote_plus(value)


def _split(piece: Any, name: str, value: str) -> Sequence[Any]:
    if not isinstance(piece, str) or value not in piece:
        return [piece]
    parts: list[Any] = []
    for text in piece.split(value):
        parts += [text, {"secret": name}]
    return [part for part in parts[:-1] if part != ""]
