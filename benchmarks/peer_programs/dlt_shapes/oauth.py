"""Accounts in dlt's rest_api source: client credentials, since it keeps no rotating refresh token."""

CONFIG = {
    "client": {
        "base_url": "URL",
        "auth": {
            "type": "oauth2_client_credentials",
            "access_token_url": "URL/oauth/token",
            "client_id": "shape-client",
            "client_secret": "shape-secret",
        },
        "paginator": {"type": "json_link", "next_url_path": "nextRecordsUrl"},
    },
    "resource_defaults": {"primary_key": "Id", "write_disposition": "merge"},
    "resources": [
        {
            "name": "accounts",
            "endpoint": {
                "path": "query",
                "params": {"q": "SELECT Id, Name, Amount, IsDeleted, SystemModstamp FROM Account"},
                "data_selector": "records",
            },
        },
    ],
}
