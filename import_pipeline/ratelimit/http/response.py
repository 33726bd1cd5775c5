"""The answer for sources: httpx's response, whose text and JSON do not fail on a wrong charset."""

import json
from typing import Any

import httpx

from import_pipeline.rules.responses.charsets import charset_of, json_text, json_text_as_declared


class Answer(httpx.Response):
    """A response with its whole body.

    `httpx.Response.text` raises for charsets such as rot13, or UTF-16 without a byte-order mark.
    """

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
