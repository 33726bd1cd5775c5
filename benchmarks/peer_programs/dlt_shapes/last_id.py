"""Customers in dlt's rest_api source: pages after the last id."""

CONFIG = {
    "client": {
        "base_url": "URL",
        "auth": {"type": "bearer", "token": "shape-token"},
        "paginator": {
            "type": "cursor",
            "cursor_path": "data[-1].id",
            "cursor_param": "starting_after",
            "has_more_path": "has_more",
        },
    },
    "resource_defaults": {"primary_key": "id", "write_disposition": "merge"},
    "resources": [
        {"name": "customers", "endpoint": {"path": "v1/customers", "params": {"limit": 100}, "data_selector": "data"}},
    ],
}
