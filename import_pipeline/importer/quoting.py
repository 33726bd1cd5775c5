"""What is quoted of an API's answers, without the secrets that it was asked with or has told itself."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from import_pipeline.redaction import meet_request, meet_text, redact

#: Characters of an answer that are kept with the item that failed by it.
MOST_KEPT = 4_096


@contextmanager
def reading(response: httpx.Response) -> Iterator[None]:
    """The source's own code reads the answer in here, and may quote it in its errors: what is secret is known then."""
    try:
        yield
    except Exception:  # whatever a source may raise; it goes on as it is
        meet_request("", response.headers.items())
        meet_text(response.text)
        meet_text(response.request.read().decode(errors="replace"))
        raise


def quoted(response: httpx.Response) -> str:
    """The beginning of an answer's body as text. Masked before it is cut: half a secret would be no known one."""
    text = redact(response.text).replace("\0", "?")  # Postgres stores no zero byte
    if len(text) <= MOST_KEPT:
        return text
    return f"{text[:MOST_KEPT]}… (the first {MOST_KEPT:,} of {len(text):,} characters)"
