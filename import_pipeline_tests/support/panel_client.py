"""A client of the panel without a server: it calls the application, and records each rendered template."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
from sqlalchemy import insert
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from import_pipeline.importer.installation import Installation, open_installation
from import_pipeline.panel.app import create_panel
from import_pipeline.panel.security import SESSION
from import_pipeline.settings import load_settings
from import_pipeline.testing import FakeClock
from import_pipeline.tracking.tables import import_events, import_item_statuses, imports
from import_pipeline_tests.support.import_rows import NOON

HOST = "127.0.0.1:3001"


@dataclass
class TemplateRecorder:
    """An ASGI layer that records each rendered template, from Starlette's `http.response.debug` extension."""

    app: ASGIApp
    template: str = ""
    context: dict[str, Any] = field(default_factory=dict)
    csrf: str = ""  #: token of the last rendered form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.template, self.context = "", {}

        async def recording(message: Message) -> None:
            if message["type"] == "http.response.debug":
                self.template = message["info"]["template"].name
                self.context = message["info"]["context"]
                self.csrf = self.context["csrf"]
            else:
                await send(message)

        await self.app({**scope, "extensions": {"http.response.debug": {}}}, receive, recording)


@dataclass
class PanelClient:
    """The requests of one browser."""

    installation: Installation
    client: httpx.AsyncClient
    drawn: TemplateRecorder

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Get a page."""
        return await self.client.get(path, headers=headers)

    async def post(self, path: str, form: Mapping[str, str] | None = None, **headers: str) -> httpx.Response:
        """Send a form as the panel's own pages do, with changed headers or fields if given."""
        if SESSION not in self.client.cookies:
            await self.get("/login")
        fields = {"csrf": self.drawn.csrf, **(form or {})}
        sent = {"origin": f"http://{HOST}"} | {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(path, data=fields, headers={k: v for k, v in sent.items() if v})


@asynccontextmanager
async def open_panel(home: Any, clock: FakeClock | None = None, **environment: str) -> AsyncIterator[PanelClient]:
    """Open a panel over an empty state folder, at NOON."""
    settings = load_settings({"IMPORT_PIPELINE_HOME": str(home), **environment}, home.parent)
    with open_installation(settings, clock=clock or FakeClock(NOON)) as installation:
        panel = create_panel(installation)
        recorder = TemplateRecorder(panel)
        transport = httpx.ASGITransport(app=recorder)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
            yield PanelClient(installation, client, recorder)
        panel.state.panel.usage_reader.close()


def add_import(installation: Installation, **values: Any) -> int:
    """Insert an import, scheduled for NOON unless the values differ; return its id."""
    row = {
        "source": "items",
        "importable_type": "ImportedItem",
        "kind": "full",
        "trigger": "schedule",
        "scheduled_at": NOON,
        "created_at": NOON,
        "updated_at": NOON,
        "metadata": {},
    }
    with installation.database.write() as connection:
        return int(connection.execute(insert(imports).values(row | values).returning(imports.c.id)).scalar_one())


def add_items(installation: Installation, import_id: int, *rows: Mapping[str, Any]) -> None:
    """Insert items of an import; pending unless their values differ."""
    values = [
        {"import_id": import_id, "importable_type": "ImportedItem", "external_id": str(place), "metadata": {}}
        | dict(row)
        for place, row in enumerate(rows)
    ]
    with installation.database.write() as connection:
        for row in values:
            connection.execute(insert(import_item_statuses).values(row))


def add_event(installation: Installation, import_id: int, message: str, at: datetime = NOON, **metadata: Any) -> None:
    """Insert an event of an import."""
    with installation.database.write() as connection:
        connection.execute(
            insert(import_events).values(import_id=import_id, at=at, action="said", message=message, metadata=metadata)
        )
