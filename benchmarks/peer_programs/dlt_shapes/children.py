"""Issues and their comments in dlt's rest_api source."""

CONFIG = {
    "client": {
        "base_url": "URL",
        "auth": {"type": "bearer", "token": "shape-token"},
    },
    "resource_defaults": {"primary_key": "id", "write_disposition": "merge"},
    "resources": [
        {
            "name": "issues",
            "endpoint": {
                "path": "search",
                "method": "POST",
                "json": {"jql": "ORDER BY updated ASC"},
                "data_selector": "issues",
                "paginator": {
                    "type": "offset",
                    "limit": 100,
                    "offset_body_path": "startAt",
                    "limit_body_path": "maxResults",
                    "total_path": "total",
                },
            },
        },
        {
            "name": "comments",
            "parallelized": True,
            "endpoint": {
                "path": "issue/{resources.issues.key}/comment",
                "data_selector": "comments",
                "paginator": {
                    "type": "offset",
                    "limit": 100,
                    "offset_param": "startAt",
                    "limit_param": "maxResults",
                    "total_path": "total",
                },
            },
        },
    ],
}
