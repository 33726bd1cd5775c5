"""The objects that all pages share: installation, access policy, limiter usage, templates, cache."""

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
from import_pipeline.wording import visible

T = TypeVar("T")
#: The person, if no proxy names them; and the most characters of a name.
ANYBODY, MOST_NAME = "a user of the panel", 100
CACHE_SECONDS = 0.5  #: shorter than a refresh, so that each refresh shows something new
TEMPLATES = Path(__file__).parent / "templates"
#: The script sends this header to get only the main part of a page.
FRAGMENT = "x-panel-fragment"


@dataclass(kw_only=True)
class RefreshCache:
    """A half-second cache shared by all viewers: ten viewers cost as much as two."""

    clock: Clock
    _cached: dict[Hashable, tuple[float, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def recent(self, key: Hashable, read: Callable[[], T]) -> T:
        """Return the cached value of the key, or read it again if that is too old."""
        with self._lock:
            now = self.clock.monotonic()
            self._cached = {each: kept for each, kept in self._cached.items() if now - kept[0] < CACHE_SECONDS}
            if key not in self._cached:
                self._cached[key] = (now, read())
            return cast(T, self._cached[key][1])


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The panel. Pages and actions get it from their request by `panel_of`."""

    installation: Installation
    policy: AccessPolicy

    @cached_property
    def usage_reader(self) -> UsageReader:
        """The reader of the limiters' counters."""
        return UsageReader(settings=self.installation.settings, clock=self.installation.clock)

    @cached_property
    def cache(self) -> RefreshCache:
        """The cache for refreshes of the script."""
        return RefreshCache(clock=self.installation.clock)

    def has_ended(self, login: Login) -> bool:
        """Return True if this login was logged out. Raises DatabaseUnavailable."""
        with self.installation.database.read() as connection:
            return panel_logins.has_ended(connection, login.id)

    def end_login(self, login: Login, now: datetime) -> None:
        """End the login for every copy of its cookie. Raises DatabaseUnavailable."""
        until = datetime.fromtimestamp(login.until, UTC)
        self.installation.transact(lambda connection: panel_logins.end(connection, login.id, until, now))

    def read(self, request: Request, read: Callable[[], T]) -> T:
        """Read the data of a page: from the cache for a refresh of the script, else anew."""
        if FRAGMENT not in request.headers:
            return read()
        return self.cache.recent((request.url.path, request.url.query), read)

    @cached_property
    def templates(self) -> Jinja2Templates:
        """The templates. They escape all values; an undefined name is an error."""
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
        """Return the text with secrets masked. A row may be older than the knowledge of a secret."""
        return redact(text)

    def person(self, request: Request) -> str:
        """Return the person who sends the request, as the proxy names them; `a user of the panel` without one."""
        header = self.installation.settings.panel_user_header
        named = visible(request.headers.get(header, "").strip())[:MOST_NAME] if header else ""
        return named or ANYBODY

    def run_url(self, run_id: str | None) -> str | None:
        """Return the address of a run's page in Dagster."""
        settings = self.installation.settings
        address = settings.dagster_url or f"http://127.0.0.1:{settings.dagster_port}"
        return f"{address}/runs/{quote(run_id, safe='')}" if run_id else None

    def render(self, request: Request, template: str, context: dict[str, Any], status: int = 200) -> Response:
        """Render a page, or only its main part for the script."""
        shared = {
            "fragment": FRAGMENT in request.headers,
            "csrf": self.policy.form_token(request.state.session),
            "can_log_out": self.policy.token is not None,
            "now": self.installation.clock.now(),
        }
        answer = self.templates.TemplateResponse(request, template, shared | context, status)
        answer.headers["vary"] = FRAGMENT
        return answer


def panel_of(request: Request) -> Panel:
    """Return the panel of the request."""
    return cast(Panel, request.app.state.panel)
