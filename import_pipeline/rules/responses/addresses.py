"""Resolution of a next page's address. Text in and out, without I/O and without new encoding."""

from urllib.parse import urljoin, urlsplit


def resolve(reference: str, *, page: str, base: str, is_quoted: bool) -> str:
    """Return the absolute address that a source's next request means, if the answer came from the address `page`.

    A source either repeats a link of the API, which is relative to the page itself (RFC 3986, 5.2), or writes a path
    below its own base URL, as in `list_request`. Both may begin with a slash. A next page nearly always has the path
    of the page before it, so the reading that gives this path is right. If neither does, a reference that begins with
    the base URL's path, or that the answer has quoted word for word (`is_quoted`), is a link.
    """
    if reference.startswith("//") or urlsplit(reference).scheme:
        return urljoin(page, reference)
    as_link, below_base = urljoin(page, reference), f"{base.rstrip('/')}/{reference.lstrip('/')}"
    if _path(as_link) == _path(page):
        return as_link
    if _path(below_base) == _path(page):
        return below_base
    return as_link if is_quoted or _begins_with_base(reference, base) else below_base


def _path(address: str) -> str:
    return urlsplit(address).path.rstrip("/")


def _begins_with_base(reference: str, base: str) -> bool:
    prefix = _path(base)
    return bool(prefix) and (urlsplit(reference).path + "/").startswith(prefix + "/")
