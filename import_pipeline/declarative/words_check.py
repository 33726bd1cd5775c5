"""Check the words of a declaration against each other, and its names against those that are taken."""

import re
from collections.abc import Mapping

from import_pipeline.contracts.check import NAME, NAME_FORM
from import_pipeline.declarative.groups import AnswerWords
from import_pipeline.declarative.requests_check import check_requests
from import_pipeline.declarative.templates import placeholders, whole_placeholder
from import_pipeline.declarative.unfit import Unfit, shown
from import_pipeline.declarative.values import SLICE
from import_pipeline.declarative.words import Declaration
from import_pipeline.redaction import HIDDEN
from import_pipeline.tracking.schema import VERSION_TABLE
from import_pipeline.tracking.tables import tracking_metadata

_COLUMN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_TABLE = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]{0,62}\.)?[A-Za-z_][A-Za-z0-9_]{0,62}")
_CREDENTIALS = {"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"}
_CREDENTIAL_PARAMETERS = {"api_key", "apikey", "api-key", "access_token", "client_secret", "password"}


def check_words(declaration: Declaration) -> None:
    """Raise Unfit for the first word that does not fit the others."""
    if not NAME.fullmatch(declaration.name):
        raise Unfit(NAME_FORM, shown(declaration.name), "name")
    _check_credentials(declaration)
    _check_table(declaration)
    for each in declaration.columns:
        _check_column(declaration, each)
    check_requests(declaration)
    _check_pairs(declaration)
    for number, row in enumerate(declaration.answers):
        _check_answer(row, f"answers.{number}")
    for number, origin in enumerate(declaration.origins):
        if not re.fullmatch(r"https?://[^/?#\s@]+/?", origin):
            raise Unfit("an origin such as https://files.example.com", shown(origin), f"origins.{number}")


def _check_pairs(declaration: Declaration) -> None:
    if declaration.detail is not None and declaration.batch is not None:
        raise Unfit("either `detail` or `batch`", "both", "batch")
    if declaration.parent is not None and declaration.slices:
        raise Unfit("either `parent` or `slices`", "both", "slices")
    if declaration.changed_only and declaration.parent is None:
        raise Unfit("`parent` beside it, whose changes it means", "none", "changed_only")
    words = declaration.incremental
    if words is not None and words.param is not None and words.list is not None:
        raise Unfit("either `param` or `list`", "both", "incremental.param")


def _check_table(declaration: Declaration) -> None:
    name = declaration.table or declaration.name
    if not _TABLE.fullmatch(name):
        raise Unfit("a table name of letters, digits and underscores, or schema.name", shown(name), "table")
    if name.lower() in {VERSION_TABLE, *tracking_metadata.tables}:
        raise Unfit(f"another one, such as raw_{name}, since this one holds the imports", shown(name), "table")


def _check_column(declaration: Declaration, name: str) -> None:
    key = f"columns.{name}"
    if not _COLUMN.fullmatch(name):
        raise Unfit("a column name of at most 63 letters, digits and underscores", shown(name), "columns")
    if name.lower() in {"id", "external_id"}:
        raise Unfit("another name: the API's id is stored as external_id, the table's own as id", shown(name), key)
    if sum(name.lower() == each.lower() for each in declaration.columns) > 1:
        raise Unfit("a name that differs from others not only by capitals", shown(name), key)
    column, is_sliced = declaration.columns[name], bool(declaration.parent or declaration.slices)
    if column.from_list and declaration.detail is None and declaration.batch is None:
        raise Unfit("from_list only beside `detail`, since without it the list has all", "true", f"{key}.from_list")
    if whole_placeholder(column.path) is not None and (column.path != SLICE or not is_sliced):
        expected = "a path in the item; {slice} only beside `parent` or `slices`"
        raise Unfit(expected, column.path, f"{key}.path")


def _check_answer(row: AnswerWords, key: str) -> None:
    if "equals" in row.model_fields_set and row.path is None:
        raise Unfit("`path` beside it, the place of the value", "nothing", f"{key}.path")
    if row.wait is not None and row.action not in {"retry", "rate_limited"}:
        raise Unfit("no wait, which only retry and rate_limited have", f"{row.wait:g}", f"{key}.wait")


def _check_credentials(declaration: Declaration) -> None:
    """Raise Unfit for a credential, since a declaration is stored and shown as it is."""
    requests = {"": declaration, "list.": declaration.list, "detail.": declaration.detail, "batch.": declaration.batch}
    for place, group in requests.items():
        headers: Mapping[str, object] = group.headers if group is not None else {}
        for name in headers:
            if name.lower() in _CREDENTIALS:
                setting = "a credential in `auth`, or a bearer token in the setting TOKEN"
                raise Unfit(setting, HIDDEN, f"{place}headers.{name}")
        for name, value in (group.params if group is not None else {}).items():
            if name.lower() in _CREDENTIAL_PARAMETERS and not placeholders(value):
                expected = f"a credential in `auth`: {{type: query, name: {name}, secret: API_KEY}}"
                raise Unfit(expected, HIDDEN, f"{place}params.{name}")
    if re.match(r"\w+://[^/?#]*@", declaration.base_url):
        raise Unfit("an address without user and password, which belong in `auth`", HIDDEN, "base_url")
