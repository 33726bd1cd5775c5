"""Issues in dlt's rest_api source: a list by Link header, and a detail per item."""

CONFIG = {
    "client": {
        "base_url": "URL",
        "auth": {"type": "bearer", "token": "shape-token"},
        "paginator": {"type": "header_link"},
    },
    "resource_defaults": {"primary_key": "number", "write_disposition": "merge"},
    "resources": [
        {
            "name": "listed",
            "endpoint": {
                "path": "issues",
                "params": {
                    "per_page": 100,
                    "sort": "updated",
                    "direction": "asc",
                    "since": {
                        "type": "incremental",
                        "cursor_path": "updated_at",
                        "initial_value": "2000-01-01T00:00:00Z",
                    },
                },
            },
        },
        {
            "name": "issues",
            "parallelized": True,
            "endpoint": {
                "path": "issues/{resources.listed.number}",
                "data_selector": "$",
                "paginator": "single_page",
            },
        },
    ],
}
