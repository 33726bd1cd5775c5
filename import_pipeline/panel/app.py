"""The panel as an ASGI application, with the list of its routes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from import_pipeline.importer.installation import Installation
from import_pipeline.panel import actions, api, metrics, pages
from import_pipeline.panel.context import Panel
from import_pipeline.panel.security import AccessPolicy, SecurityMiddleware

STATIC = Path(__file__).parent / "static"


class ImportId(IntegerConvertor):
    """A whole number of at most 40 digits: Python refuses to read thousands of them."""

    regex = "[0-9]{1,40}"


register_url_convertor("id", ImportId())

ROUTES = [
    Route("/", pages.show_list, methods=["GET"]),
    Route("/imports/{import_id:id}", pages.show_import, methods=["GET"]),
    Route("/sources/{source:str}", pages.show_source, methods=["GET"]),
    Route("/sources/{source:str}/resume", actions.lift, methods=["POST"]),
    Route("/item", pages.show_item, methods=["GET"]),
    Route("/item", actions.import_item, methods=["POST"]),
    Route("/run", pages.confirm_run, methods=["GET"]),
    Route("/run", actions.run, methods=["POST"]),
    Route("/imports/{import_id:id}/{action:str}", pages.confirm, methods=["GET"]),
    Route("/imports/{import_id:id}/cancel", actions.cancel, methods=["POST"]),
    Route("/imports/{import_id:id}/resume", actions.resume, methods=["POST"]),
    Route("/imports/{import_id:id}/retry", actions.retry, methods=["POST"]),
    Route("/imports/{import_id:id}/delete", actions.delete, methods=["POST"]),
    Route("/login", pages.login, methods=["GET"]),
    Route("/login", actions.log_in, methods=["POST"]),
    Route("/logout", actions.log_out, methods=["POST"]),
    Route("/api/imports", api.list_imports, methods=["GET"]),
    Route("/api/imports/{import_id:id}", api.one_import, methods=["GET"]),
    Route("/health", api.health, methods=["GET"]),
    Route("/metrics", metrics.metrics, methods=["GET"]),
    Mount("/static", StaticFiles(directory=STATIC)),
]


def create_panel(installation: Installation, policy: AccessPolicy | None = None) -> Starlette:
    """Return the panel. Raises SettingError if the settings would leave it open to other machines."""
    policy = policy or AccessPolicy.of(installation.settings)
    panel = Panel(installation=installation, policy=policy)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        panel.usage_reader.close()

    app = Starlette(
        routes=ROUTES,
        lifespan=lifespan,
        middleware=[Middleware(SecurityMiddleware, policy=policy, clock=installation.clock, has_ended=panel.has_ended)],
        exception_handlers=pages.PROBLEMS,
    )
    app.state.panel = panel
    return app
