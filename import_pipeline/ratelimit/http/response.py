"""An answer as sources read it: httpx's response, whose text and JSON do not depend on a charset that is right."""

import json
from typing import Any

import httpx

from import_pipeline.rules.responses.charsets import charset_of, json_text, json_text_as_declared


class Answer(httpx.Response):
    """A response with its whole body. httpx's own raises from `text` for charsets such as rot13 or UTF-16 unmarked."""

    @property
    def charset_encoding(self) -> str | None:
        """The declared charset if the body can be read by it."""
        return charset_of(self.content, self.headers.get("Content-Type", ""))

    def json(self, **options: Any) -> Any:
        """The body's JSON in the charset that its bytes tell (RFC 8259, 8.1), else in the declared one."""
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
            raise  # what the bytes themselves say is nearer to the truth
