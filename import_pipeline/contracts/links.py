"""A helper for sources whose API names the next page in a Link header."""

from urllib.parse import urljoin

import httpx

from import_pipeline.rules.responses.link_header import next_target


def next_link(response: httpx.Response) -> str | None:
    """Return the address of the next page that the answer's Link headers name, None if they name none.

    It is absolute: a relative link is resolved against the page's own address (RFC 3986). Unlike httpx's
    `response.links` it finds every form that RFC 8288 allows: `rel="next last"`, `rel=next`, `REL="Next"`, several
    headers.
    """
    target = next_target(response.headers.get_list("link"))
    return None if target is None else urljoin(str(response.request.url), target)
