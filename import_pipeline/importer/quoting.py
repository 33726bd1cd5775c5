"""The source's own code may quote in its errors what it was given: its secrets are known before."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from import_pipeline.redaction import meet_request, meet_text


@contextmanager
def reading(response: httpx.Response) -> Iterator[None]:
    """The source's own code reads the answer in here."""
    try:
        yield
    except Exception:
        meet_request("", response.headers.items())
        meet_text(response.text)
        meet_text(response.request.read().decode(errors="replace"))
        raise
