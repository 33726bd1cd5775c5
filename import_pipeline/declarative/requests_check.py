"""Check the requests of a declaration: that they name their items, slices or changes, and no placeholder is unknown."""

from collections.abc import Collection

from import_pipeline.declarative.groups import RequestWords, WindowWords
from import_pipeline.declarative.paging import read_pages
from import_pipeline.declarative.templates import placeholders, whole_placeholder
from import_pipeline.declarative.unfit import Unfit, nearest, shown
from import_pipeline.declarative.windows import moment_of
from import_pipeline.declarative.words import Declaration


def check_requests(declaration: Declaration) -> None:
    """Raise Unfit for requests that cannot reach what they are for, or that name something unknown."""
    _check_list(declaration)
    _check_details(declaration)
    _check_changes(declaration)


def _check_details(declaration: Declaration) -> None:
    columns, detail, batch = {"id", *declaration.columns}, declaration.detail, declaration.batch
    if detail is not None:
        _check_known("detail", detail, columns, "placeholders {id} or {name of a column}")
        if not _named(detail) & columns:
            raise Unfit("a request that names the item, such as /orders/{id}", shown(detail.path), "detail")
    if batch is not None:
        _check_known("batch", batch, {"ids"}, "{ids}; {id} and {column} only in {each: ...} of the body")
        if not _named(batch) & {"ids", *columns}:
            raise Unfit("a request that names the items by {ids}, or by {each: ...} in the body", "none", "batch")


def _check_list(declaration: Declaration) -> None:
    """Raise Unfit for a list that does not name its slices, or slices that are not declared."""
    request, is_sliced = declaration.list, bool(declaration.parent or declaration.slices)
    if isinstance(declaration.slices, WindowWords):
        _check_start(declaration.slices)
    names = {each.partition(".")[0] for each in _named(request)}
    if is_sliced != ("slice" in names):
        expected = "{slice} in the list's request" if is_sliced else "`parent` or `slices` beside {slice}"
        raise Unfit(expected, "none", "list")
    if "since" in names and declaration.incremental is None:
        raise Unfit("`incremental` beside {since}", "none", "list")
    known = _of_list(declaration)
    _check_known("list", request, known, _form(known))
    if getattr(read_pages(declaration.pages), "where", "query") == "json" and not isinstance(request.body, dict | None):
        raise Unfit("a mapping, which `pages` adds to since its `where` is json", shown(request.body), "list.body")


def _check_changes(declaration: Declaration) -> None:
    """Raise Unfit for changes whose request does not name the position."""
    words = declaration.incremental
    if words is None or words.param is not None:
        return
    changes = declaration.list if words.list is None else words.list
    if words.list is not None:
        known = _of_list(declaration)
        _check_known("incremental.list", words.list, known, _form(known))
    if "since" not in _named(changes):
        raise Unfit("a parameter, or a list with {since}", "neither", "incremental.param")


def _of_list(declaration: Declaration) -> list[str]:
    """Return the placeholders that a list may have."""
    if isinstance(declaration.slices, WindowWords):
        known = ["slice", "slice.start", "slice.end"]
    else:
        known = ["slice"] if declaration.parent or declaration.slices else []
    return [*known, "since"] if declaration.incremental is not None else known


def _form(known: Collection[str]) -> str:
    if not known:
        return "no placeholder, since the list has neither slices nor changes; `pages` adds the page"
    return f"{' or '.join(f'{{{each}}}' for each in known)}; `pages` adds the page"


def _named(request: RequestWords) -> set[str]:
    return placeholders([request.path, request.params, request.body])


def _check_known(key: str, request: RequestWords, known: Collection[str], expected: str) -> None:
    """Raise Unfit for an unknown placeholder. In a body or in the midst of a parameter, braces may be the API's own."""
    unknown = {f"{key}.path": placeholders(request.path) - set(known)}
    for name, value in request.params.items():
        whole = whole_placeholder(value)
        unknown[f"{key}.params.{name}"] = set() if whole is None or whole in known else {whole}
    wrong_slices = {each for each in _named(request) if each.startswith("slice.")} - set(known)
    for place, names in [*unknown.items(), (key, wrong_slices)]:
        if names:
            found = min(names)
            raise Unfit(expected, f"{{{found}}}{nearest(found, known)}", place)


def _check_start(words: WindowWords) -> None:
    try:
        moment_of(words.start)
    except ValueError:
        raise Unfit("a date or time such as 2024-01-01", shown(words.start), "slices.start") from None
