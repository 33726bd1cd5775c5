"""The Airbyte CDK: a declarative source with a substream of details, 20 threads; its records as JSON lines.

python airbyte_items.py URL FOLDER
"""

import json
import sys
from pathlib import Path
from typing import Any

from airbyte_cdk.entrypoint import AirbyteEntrypoint
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource

URL, FOLDER = sys.argv[1], Path(sys.argv[2])
SCHEMA = {"type": "InlineSchemaLoader", "schema": {"type": "object", "additionalProperties": True, "properties": {}}}


def stream(name: str, path: str, field_path: list[str], **retriever: Any) -> dict[str, Any]:
    """One declarative stream."""
    return {
        "type": "DeclarativeStream",
        "name": name,
        "primary_key": "id",
        "schema_loader": SCHEMA,
        "retriever": {
            "type": "SimpleRetriever",
            "requester": {"type": "HttpRequester", "url_base": URL, "path": path, "http_method": "GET"},
            "record_selector": {
                "type": "RecordSelector",
                "extractor": {"type": "DpathExtractor", "field_path": field_path},
            },
            **retriever,
        },
    }


PAGES = {
    "type": "DefaultPaginator",
    "page_token_option": {"type": "RequestOption", "inject_into": "request_parameter", "field_name": "page"},
    "page_size_option": {"type": "RequestOption", "inject_into": "request_parameter", "field_name": "perPage"},
    "pagination_strategy": {
        "type": "PageIncrement",
        "page_size": 100,
        "start_from_page": 1,
        "inject_on_first_request": True,
    },
}
ROUTER = {
    "type": "SubstreamPartitionRouter",
    "parent_stream_configs": [
        {
            "type": "ParentStreamConfig",
            "parent_key": "id",
            "partition_field": "item",
            "stream": stream("listed", "/api/items", ["data"], paginator=PAGES),
        }
    ],
}
MANIFEST = {
    "version": "6.0.0",
    "type": "DeclarativeSource",
    "check": {"type": "CheckStream", "stream_names": ["items"]},
    "concurrency_level": {"type": "ConcurrencyLevel", "default_concurrency": 20, "max_concurrency": 20},
    "streams": [stream("items", "/api/items/{{ stream_partition.item }}", [], partition_router=ROUTER)],
    "spec": {"type": "Spec", "connection_specification": {"type": "object", "properties": {}}},
}
CATALOG = {
    "streams": [
        {
            "stream": {"name": "items", "json_schema": {}, "supported_sync_modes": ["full_refresh"]},
            "sync_mode": "full_refresh",
            "destination_sync_mode": "append",
        }
    ]
}
for name, content in (("config.json", {}), ("catalog.json", CATALOG)):
    (FOLDER / name).write_text(json.dumps(content))
source = ConcurrentDeclarativeSource(
    catalog=ConfiguredAirbyteCatalogSerializer.load(CATALOG), config={}, state=None, source_config=MANIFEST
)
arguments = ["read", "--config", str(FOLDER / "config.json"), "--catalog", str(FOLDER / "catalog.json")]
with (FOLDER / "rows.jsonl").open("w") as rows:
    for message in AirbyteEntrypoint(source).run(AirbyteEntrypoint.parse_args(arguments)):
        if '"type":"RECORD"' in message[:40] or '"RECORD"' in message:
            rows.write(json.dumps(json.loads(message)["record"]["data"]) + "\n")
