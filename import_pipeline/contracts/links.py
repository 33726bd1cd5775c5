"""A helper for APIs that name the next page in a Link header."""

from urllib.parse import urljoin

import httpx

from import_pipeline.rules.responses.link_header import next_target


def next_link(response: httpx.Response) -> str | None:
    """Return the absolute URL of the next page from the response's Link headers, or None.

    A relative link is resolved against the URL of the page (RFC 3986). Unlike httpx's `response.links`, this finds
    every form that RFC 8288 allows: `rel="next last"`, `rel=next`, `REL="Next"`, and several headers. Use it in
    `next_request`:

        def next_request(self, response, page):
            link = next_link(response)
            return None if link is None else httpx.Request("GET", link)
    """
    target = next_target(response.headers.get_list("link"))
    return None if target is None else urljoin(str(response.request.url), target)
