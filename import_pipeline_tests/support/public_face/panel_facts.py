"""The panel's routes, JSON API and metrics."""

import os
import re
import socket
from datetime import UTC, datetime
from typing import Any

from import_pipeline_tests.support.public_face.json_outputs import keys


async def panel(settings: Any) -> dict[str, Any]:
    """Return the panel's routes, the keys of its API and the labels of its metrics, during an import."""
    import httpx

    from import_pipeline.importer.installation import open_installation
    from import_pipeline.panel.app import ROUTES, create_panel
    from import_pipeline_tests.support.panel_client import HOST, add_import

    with open_installation(settings) as installation:
        now = datetime.now(UTC)
        add_import(
            installation, status="running", started_at=now, heartbeat_at=now, pid=os.getpid(), host=socket.gethostname()
        )
        application = create_panel(installation)
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
            listed = (await client.get("/api/imports")).json()
            shown = [(await client.get(f"/api/imports/{each['import_id']}")).json() for each in listed["imports"]]
            scraped = (await client.get("/metrics")).text
        application.state.panel.usage_reader.close()
    metrics: dict[str, set[str]] = {name: set() for name in re.findall(r"^# HELP (\w+)", scraped, re.MULTILINE)}
    for name, labels in re.findall(r"^(\w+)\{(.*)\} ", scraped, re.MULTILINE):
        metrics[name].update(re.findall(r'(\w+)="', labels))
    return {
        "routes": sorted(
            f"{'/'.join(sorted(getattr(each, 'methods', None) or ['GET']))} {each.path}" for each in ROUTES
        ),
        "GET /api/imports": keys(listed),
        "GET /api/imports/ID": sorted({key for each in shown for key in keys(each)}),
        "metrics": {name: sorted(labels) for name, labels in sorted(metrics.items())},
    }
