"""The answer for sources: httpx's response, whose text and JSON do not fail on a wrong charset."""

import json
from collections.abc import Mapping
from typing import Any, Self

import httpx

from import_pipeline.ratelimit.http.body import headers_of_unpacked, is_packed
from import_pipeline.rules.responses.charsets import charset_of, json_text, json_text_as_declared


class Answer(httpx.Response):
    """A response with its whole body.

    `httpx.Response.text` raises for charsets such as rot13, or UTF-16 without a byte-order mark.
    """

    _body: bytes | None = None  #: as it was received, before `read` is called; None if httpx has to unpack it

    @classmethod
    def received(cls, answer: httpx.Response, body: bytes, extensions: Mapping[str, Any]) -> Self:
        """Return an answer with the status of another one and its unpacked body, which is not read yet."""
        extensions, stream = {**answer.extensions, **extensions}, httpx.ByteStream(body)
        received = cls(answer.status_code, stream=stream, extensions=extensions)
        received.headers, received._body = answer.headers, body
        if is_packed(answer.headers):
            received.headers = headers_of_unpacked(answer.headers, body)
            received._body = None if is_packed(received.headers) else body
        return received

    def read(self) -> bytes:
        """Return the body. One that is in memory as it is needs no pass over streams, decoders and chunks."""
        if self._body is None or self.is_stream_consumed:
            return super().read()
        self._content, self._num_bytes_downloaded = self._body, len(self._body)
        self.is_stream_consumed = self.is_closed = True
        return self._body

    @property
    def charset_encoding(self) -> str | None:
        """The declared charset, if the body can be decoded with it."""
        return charset_of(self.content, self.headers.get("Content-Type", ""))

    def json(self, **options: Any) -> Any:
        """Return the body's JSON in the charset that its bytes show (RFC 8259, 8.1), otherwise in the declared one."""
        content_type = self.headers.get("Content-Type", "")
        switching = json_text(self.content, content_type)
        if switching is not None:
            return json.loads(switching, **options)
        try:
            return super().json(**options)
        except ValueError:
            declared = json_text_as_declared(self.content, content_type)
            if declared is None:
                raise
            try:
                return json.loads(declared, **options)
            except ValueError:
                pass
            raise  # the first error is more likely the right one
