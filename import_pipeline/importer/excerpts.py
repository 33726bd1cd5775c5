"""Excerpts of responses and errors: short, masked, and storable in every database."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import httpx

from import_pipeline.redaction import redact, remember_request, remember_text
from import_pipeline.rules.external_ids import storable
from import_pipeline.rules.responses.bodies import html_page, unread_encodings
from import_pipeline.rules.responses.charsets import text_of
from import_pipeline.wording import visible

#: Characters of a response that are kept with a failed item.
MOST_KEPT = 4_096
#: Characters of an error that are reported.
MOST_REPORTED = 1_000
#: Characters masked beyond the excerpt, then dropped: a secret cut at their end would not be recognized.
MARGIN = 4_096
#: Keys of a mapping that are reported.
MOST_KEYS = 12
#: The extension of a response whose secrets are registered.
MET = "import_pipeline_met"


def excerpt(text: str, most: int) -> str:
    """Return the first `most` characters of a text, masked; the rest of a long text is not processed."""
    masked = redact(text[: most + MARGIN])
    if len(text) > most + MARGIN:
        masked = masked[:-MARGIN]
    short = storable(masked[:most])
    return short if len(masked) <= most and len(text) <= most + MARGIN else f"{short}…"


def response_excerpt(response: httpx.Response) -> str:
    """Return the beginning of a response's body as text."""
    text = body_text(response)
    short = excerpt(text, MOST_KEPT)
    if not short.endswith("…"):
        return short
    return f"{short} (the first {MOST_KEPT:,} of {len(text):,} characters)"


def body_text(response: httpx.Response) -> str:
    """Return the body as text, decoded even if its charset is wrong or unknown."""
    return text_of(response.content, response.headers.get("Content-Type", ""))


def register_response_secrets(response: httpx.Response | None) -> None:
    """Register the secrets in a response, if any, and its request, before an error that may quote them is reported."""
    if response is None or MET in response.extensions:
        return
    response.extensions[MET] = True
    remember_request("", response.headers.items())
    remember_text(body_text(response))
    if isinstance(response.request.stream, httpx.ByteStream):
        remember_text(response.request.read().decode(errors="replace"))


def body_hints(response: httpx.Response) -> str:
    """Return hints why a body could not be read, to append to the reason: an HTML page, an unknown encoding."""
    offered = response.request.headers.get("Accept-Encoding", "")
    unread = unread_encodings(response.headers.get("Content-Encoding", ""), offered)
    page = html_page(body_text(response)[:MOST_KEPT])
    url = response.request.url
    said = []
    if page is not None:
        said.append(f"the body is {page} from {url.scheme}://{url.netloc.decode(errors='replace')}, not data")
    if unread:
        names = excerpt(", ".join(unread), 80)
        said.append(f"its Content-Encoding {names} was not offered ({offered or 'nothing was'}) and is not read")
    return "".join(f"; {each}" for each in said)


def keys_there(error: BaseException, arguments: Sequence[Any]) -> str:
    """Return the keys of the mapping that a hook got, for its KeyError: `; it has id, name`; else an empty text."""
    given = next((each for each in arguments if isinstance(each, Mapping)), None)
    if not isinstance(error, KeyError) or given is None:
        return ""
    try:
        names = [str(key) for key in islice(given, MOST_KEYS + 1)]
    except Exception:  # noqa: BLE001 - the mapping may be the user's code
        return ""
    shown = ", ".join(names[:MOST_KEYS]) + (", …" if len(names) > MOST_KEYS else "")
    return f"; it has {excerpt(visible(shown), MOST_REPORTED)}" if names else "; it is empty"
