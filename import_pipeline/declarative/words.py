"""The words of a declaration: one model for Python, YAML files and the Dagster component."""

from typing import Literal

from pydantic import Field

from import_pipeline.declarative.groups import (
    AnswerWords,
    BatchWords,
    ColumnWords,
    DetailWords,
    IdWords,
    IncrementalWords,
    RequestWords,
    WindowWords,
)
from import_pipeline.declarative.word_types import Auth, Pages, Parameter, Prefix, Textual, Words


class OptionWords(Words):
    """Options with the names of attributes of `ImportSource`; None leaves the attribute's own default."""

    limits: str | dict[str, str] | None = Field(
        None,
        description="Rate limits, all of which apply: 500/20 second; 2000/100 second; or these by paths.",
    )
    api: str | None = Field(None, description="The name that the limits belong to; sources with the same share them.")
    per_page: int | None = Field(None, description="Items requested per list page.")
    max_pages: int | None = Field(None, description="List pages after which the list counts as endless.")
    max_empty_pages: int | None = Field(None, description="Pages without items in a row after which reading stops.")
    max_results: int | None = Field(None, description="Items at which the API ends every list; windows are halved.")
    concurrency: int | None = Field(None, description="Detail requests in flight at the start.")
    ceiling: int | None = Field(None, description="The most detail requests in flight.")
    shards: int | None = Field(None, description="Runs that work on one import together.")
    revision: int | None = Field(None, description="Another number fetches all details again, once.")
    overlap: bool | None = Field(None, description="False: the whole list is read before the first detail.")
    read_twice: bool | None = Field(None, description="True: repeat the list until two passes agree.")
    conditional: bool | None = Field(None, description="True: request details with the ETag of their last answer.")
    keep_payloads: bool | None = Field(None, description="True: store the start of an answer that failed an item.")
    timeout: float | None = Field(None, description="Seconds for a whole request.")
    max_body: int | None = Field(None, description="Bytes of an answer; longer ones are refused.")
    max_depth: int | None = Field(None, description="Nesting levels of a JSON answer.")
    lease: float | None = Field(None, description="Seconds without a heartbeat after which an import is stalled.")
    wait: float | None = Field(None, description="Seconds that an import of selected items waits for another one.")
    max_pause: float | None = Field(None, description="Seconds of the longest pause that the API may request.")
    max_outage: float | None = Field(None, description="Seconds without an answer after which the import fails.")
    prune_days: float | None = Field(None, description="Days after which item rows of ended imports are deleted.")
    tries: int | None = Field(None, description="Tries per item.")
    backoff: tuple[float, ...] | None = Field(None, description="Seconds between the tries of an item.")
    slots: Textual | None = Field(None, description="Hours or times at which an import is due: 0,3 or 09:30,12:00.")
    time_zone: str | None = Field(None, description="The time zone of the slots.")
    partitions: Literal["per_item"] | int | None = Field(
        None, description="Partitions of the details: per_item, or the number of items per bucket."
    )


class Declaration(OptionWords):
    """A source, declared."""

    name: str = Field(description="The name of the source, its assets, jobs and settings.")
    base_url: str = Field("", description="The address of the API; the setting <NAME>_BASE_URL overrides it.")
    list: RequestWords = Field(description="The request for the list, without page number or cursor.")
    items: str = Field(".", description="The path of the items in a list page; . is the whole page.")
    format: Literal["json", "ndjson"] = Field("json", description="The format of a list page.")
    pages: Pages = Field(description="The way in which the list names its next page.")
    id: IdWords = Field(IdWords(path="id", type="text"), description="The path of an item's id.")
    version: str | None = Field(None, description="The path of a value that changes with the item, as updated_at.")
    total: str | None = Field(None, description="The path of the number of items, in a list page.")
    detail: DetailWords | None = Field(None, description="The request for an item's details; none: the list has all.")
    batch: BatchWords | None = Field(None, description="One request for the details of many items.")
    columns: dict[str, ColumnWords] = Field(
        {"data": ColumnWords(path=".", type="json", index=False, from_list=False)},
        description="Columns of the table and the paths of their values; by default the item as JSON, in `data`.",
    )
    incremental: IncrementalWords | None = Field(None, description="Only what changed since the last import.")
    parent: str | None = Field(None, description="The source whose items have a list each; {slice} is their id.")
    changed_only: bool = Field(False, description="True: only items of the parent that its imports changed.")
    slices: tuple[Textual, ...] | WindowWords = Field(
        (), description="Keys of lists, of which {slice} is replaced by each; or windows of time."
    )
    answers: tuple[AnswerWords, ...] = Field((), description="What answers mean, if not what their status says.")
    auth: Auth = Field(None, description="Credentials, by the names of environment variables.")
    origins: tuple[str, ...] = Field((), description="Further origins that requests may go to, without credentials.")
    table: str | None = Field(None, description="The name of the table; by default the source's.")
    headers: dict[str, Textual] = Field({}, description="Headers of every request; credentials belong in auth.")
    params: dict[str, Parameter] = Field({}, description="Query parameters of every request.")
    owners: tuple[str, ...] = Field((), description="Owners of the assets: team:data or mail addresses.")
    group_name: str = Field("", description="The group of the assets; by default the source's name.")
    asset_key_prefix: Prefix = Field((), description="Parts before the keys of the assets: crm, or [crm, raw].")
    tags: dict[str, Textual] = Field({}, description="Tags of the assets.")
