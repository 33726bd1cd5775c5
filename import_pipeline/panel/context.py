"""What the panel's pages share: the installation, the door, the limiters' usage_reader, the templates."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response
from starlette.templating import Jinja2Templates

from import_pipeline.clock import Clock
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.limiter_usage import UsageReader
from import_pipeline.panel.security import AccessPolicy, Login
from import_pipeline.panel.views import FILTERS
from import_pipeline.redaction import redact
from import_pipeline.tracking import panel_logins

T = TypeVar("T")
#: Less than a refresh, so that each shows something new.
GLANCE_SECONDS = 0.5
TEMPLATES = Path(__file__).parent / "templates"
#: The script asks by this header for what changes of a page, without what stands around it.
FRAGMENT = "x-panel-fragment"


@dataclass(kw_only=True)
class RefreshCache:
    """What was looked at a moment ago serves everybody's next refresh: ten people who watch cost as much as two."""

    clock: Clock
    _seen: dict[Hashable, tuple[float, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def recent(self, what: Hashable, look: Callable[[], T]) -> T:
        """The last glance at it, or a new one where that is too old."""
        with self._lock:
            now = self.clock.monotonic()
            self._seen = {key: kept for key, kept in self._seen.items() if now - kept[0] < GLANCE_SECONDS}
            if what not in self._seen:
                self._seen[what] = (now, look())
            return cast(T, self._seen[what][1])


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel; every page and action gets at it through its request."""

    installation: Installation
    door: AccessPolicy

    @cached_property
    def usage_reader(self) -> UsageReader:
        """The limiters' counters."""
        return UsageReader(settings=self.installation.settings, clock=self.installation.clock)

    @cached_property
    def glances(self) -> RefreshCache:
        """What the script's refreshes share."""
        return RefreshCache(clock=self.installation.clock)

    def has_ended(self, login: Login) -> bool:
        """Whether the person of that login has logged out. Raises DatabaseUnavailable."""
        with self.installation.database.read() as connection:
            return panel_logins.has_ended(connection, login.id)

    def end_login(self, login: Login, now: datetime) -> None:
        """End it for every copy of its cookie. Raises DatabaseUnavailable."""
        until = datetime.fromtimestamp(login.until, UTC)
        self.installation.transact(lambda connection: panel_logins.end(connection, login.id, until, now))

    def look(self, request: Request, look: Callable[[], T]) -> T:
        """What a page shows: a glance a moment old where the script refreshes, a new one for who opens the page."""
        if FRAGMENT not in request.headers:
            return look()
        return self.glances.recent((request.url.path, request.url.query), look)

    @cached_property
    def templates(self) -> Jinja2Templates:
        """The templates: everything that is drawn is escaped, what is missing is an error."""
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(FILTERS)
        environment.filters["masked"] = self.masked
        return Jinja2Templates(env=environment)

    def masked(self, text: str) -> str:
        """The text without secrets; rows may be older than what is known of them."""
        return redact(text)

    def run_url(self, run_id: str | None) -> str | None:
        """The page of a Dagster run."""
        settings = self.installation.settings
        address = settings.dagster_url or f"http://127.0.0.1:{settings.dagster_port}"
        return f"{address}/runs/{quote(run_id, safe='')}" if run_id else None

    def draw(self, request: Request, template: str, context: dict[str, Any], status: int = 200) -> Response:
        """A page, or only what changes of it where the script asks."""
        shared = {
            "fragment": FRAGMENT in request.headers,
            "csrf": self.door.form_token(request.state.session),
            "can_log_out": self.door.token is not None,
            "now": self.installation.clock.now(),
        }
        answer = self.templates.TemplateResponse(request, template, shared | context, status)
        answer.headers["vary"] = FRAGMENT
        return answer


def panel_of(request: Request) -> Panel:
    """The panel that the request is for."""
    return cast(Panel, request.app.state.panel)
