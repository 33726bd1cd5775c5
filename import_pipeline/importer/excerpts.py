"""What is quoted of an API's answers and of errors: little, masked, and storable in every database."""

import httpx

from import_pipeline.redaction import meet_request, meet_text, redact
from import_pipeline.rules.responses.bodies import html_page, unread_encodings
from import_pipeline.rules.responses.charsets import text_of

#: Characters of an answer that are kept with the item that failed by it.
MOST_KEPT = 4_096
#: Characters of an error that are told.
MOST_SAID = 1_000
#: Characters that are read beyond what is kept. A secret that is cut is no known one: it is cut off with them.
MARGIN = 4_096
#: The extension of an answer whose secrets are known.
MET = "import_pipeline_met"


def excerpt(text: str, most: int) -> str:
    """The beginning of a text without secrets. No more than that is worked on, however long the text is."""
    masked = redact(text[: most + MARGIN])
    if len(text) > most + MARGIN:
        masked = masked[:-MARGIN]
    short = storable(masked[:most])
    return short if len(masked) <= most and len(text) <= most + MARGIN else f"{short}…"


def storable(text: str) -> str:
    """The text with `?` for what some database refuses: zero bytes, halves of surrogate pairs."""
    return text.replace("\0", "?").encode(errors="replace").decode()


def response_excerpt(response: httpx.Response) -> str:
    """The beginning of an answer's body as text."""
    text = body_text(response)
    short = excerpt(text, MOST_KEPT)
    if not short.endswith("…"):
        return short
    return f"{short} (the first {MOST_KEPT:,} of {len(text):,} characters)"


def body_text(response: httpx.Response) -> str:
    """The body as text, whatever charset it declares."""
    return text_of(response.content, response.headers.get("Content-Type", ""))


def register_response_secrets(response: httpx.Response) -> None:
    """Know what is secret in an answer and its request, before an error that may quote them is told."""
    if MET in response.extensions:
        return
    response.extensions[MET] = True
    meet_request("", response.headers.items())
    meet_text(body_text(response))
    if isinstance(response.request.stream, httpx.ByteStream):
        meet_text(response.request.read().decode(errors="replace"))


def oddities(response: httpx.Response) -> str:
    """What explains from outside why a body could not be read, to be added to the reason; mostly nothing."""
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
