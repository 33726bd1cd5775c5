"""Orders in dlt's rest_api source, by GraphQL. Braces are doubled, since single ones hold expressions."""

QUERY = """query($first: Int!, $after: String) {{ orders(first: $first, after: $after) {{
 nodes {{ id name totalPrice updatedAt }} pageInfo {{ hasNextPage endCursor }} }} }}"""
CONFIG = {
    "client": {
        "base_url": "URL",
        "headers": {"X-Access-Token": "shape-token"},
        "paginator": {
            "type": "cursor",
            "cursor_path": "data.orders.pageInfo.endCursor",
            "cursor_body_path": "variables.after",
            "has_more_path": "data.orders.pageInfo.hasNextPage",
        },
    },
    "resource_defaults": {"primary_key": "id", "write_disposition": "merge"},
    "resources": [
        {
            "name": "orders",
            "endpoint": {
                "path": "graphql.json",
                "method": "POST",
                "json": {"query": QUERY, "variables": {"first": 100}},
                "data_selector": "data.orders.nodes",
            },
        },
    ],
}
