"""Who may use the panel: known names only, a token where others can reach it, and actions from its own pages alone."""

import hashlib
import hmac
import ipaddress
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from import_pipeline.clock import Clock
from import_pipeline.errors import SettingError
from import_pipeline.settings import Settings

SESSION, LOGIN = "panel_session", "panel_login"
LOGIN_SECONDS = 12 * 3600
MOST_BYTES = 10_000
#: What is asked for by programs: they get a status, never the login page.
FOR_PROGRAMS = ("/api/", "/metrics")
#: What everybody may see.
OPEN_PATHS = ("/login", "/static/")
HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not `no-referrer`: browsers then send `Origin: null` with our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True, kw_only=True)
class Door:
    """What has to be shown to enter. `key` signs this process's forms."""

    names: frozenset[str]  #: what the panel may be called in a Host header, besides addresses
    local_only: bool  #: whether only this machine's own addresses are addresses of the panel
    token: str | None = field(default=None, repr=False)
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @classmethod
    def of(cls, settings: Settings) -> "Door":
        """The door of an installation's panel; raises SettingError where it would stand open to others."""
        local = is_local(settings.panel_host)
        if not local and settings.panel_token is None:
            raise SettingError(
                "PANEL_TOKEN", f"a token, since PANEL_HOST {settings.panel_host} lets other machines in", "nothing"
            )
        names = {"localhost", settings.panel_host.lower(), *settings.panel_hosts}
        if not local:
            names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        return cls(names=frozenset(names), local_only=local, token=settings.panel_token)

    def knows(self, host: str) -> bool:
        """Whether a Host header names the panel: a page elsewhere must not reach it under a name of its own."""
        name = (urlsplit(f"//{host}").hostname or "").lower()
        if name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self.local_only

    def form_token(self, session: str) -> str:
        """What a form of this session must bring along."""
        return hmac.new(self.key, session.encode(), hashlib.sha256).hexdigest()

    def login_cookie(self, until: int) -> str:
        """The cookie of somebody who knew the token, good until then (seconds since 1970)."""
        return f"{until}.{self._signed(until)}"

    def has_entered(self, headers: Headers, cookies: Mapping[str, str], now: float) -> bool:
        """Whether the request comes from somebody who knew the token, where there is one."""
        if self.token is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(given.strip()):
            return True
        until, _, signature = cookies.get(LOGIN, "").partition(".")
        return until.isdecimal() and now < int(until) and same(signature, self._signed(int(until)))

    def is_token(self, given: str) -> bool:
        """Whether that is the token; takes the same time either way."""
        return self.token is not None and same(given, self.token)

    def _signed(self, until: int) -> str:
        # The token is the key: a login outlives a restart, and no change of the token.
        return hmac.new((self.token or "").encode(), f"login {until}".encode(), hashlib.sha256).hexdigest()


def is_local(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def same(one: str, other: str) -> bool:
    """Equality in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def is_own_origin(headers: Headers) -> bool:
    """Whether a page of ours sent the form. Every browser says so by the one header or the other."""
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    return headers.get("sec-fetch-site") == "same-origin"


async def read_form(request: Request, door: Door) -> dict[str, str]:
    """The fields of a form that one of our own pages sent; raises HTTPException with the reason where it did not."""
    if not is_own_origin(request.headers):
        raise HTTPException(403, "This form was not sent from the panel's own page.")
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        raise HTTPException(415, "Expected a form.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise HTTPException(413, "The form is too long.")
    form = dict(parse_qsl(body.decode(errors="replace")))
    session = request.cookies.get(SESSION, "")
    if not session or not same(form.get("csrf", ""), door.form_token(session)):
        raise HTTPException(403, "The page was too old, or its cookie is missing: open it again and repeat.")
    return form


def local_path(wanted: str) -> str:
    """Where to go after the login: a path of the panel and nowhere else."""
    is_ours = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted and wanted.isprintable()
    return wanted if is_ours else "/"


class Guard:
    """The ASGI layer in front of every page: refuses unknown names and visitors, adds the headers to every answer."""

    def __init__(self, app: ASGIApp, door: Door, clock: Clock) -> None:
        self._app, self._door, self._clock = app, door, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        cookies = _cookies(headers)
        session = cookies.get(SESSION) or secrets.token_urlsafe(24)
        scope.setdefault("state", {})["session"] = session
        answer = self._refusal(scope, headers, cookies) or self._app
        is_static = scope["path"].startswith("/static/")

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    out[name] = value
                out["cache-control"] = "no-cache" if is_static else "no-store"
                if SESSION not in cookies and not is_static:
                    out.append("set-cookie", cookie(SESSION, session, scope))
            await send(message)

        await answer(scope, receive, send_guarded)

    def _refusal(self, scope: Scope, headers: Headers, cookies: Mapping[str, str]) -> Response | None:
        path = str(scope["path"])
        if not self._door.knows(headers.get("host", "")):
            return PlainTextResponse(
                "The panel is not known by this name. PANEL_HOSTS lists the names it may be asked for by.", 421
            )
        if path.startswith(OPEN_PATHS) or self._door.has_entered(headers, cookies, self._clock.now().timestamp()):
            return None
        if path.startswith(FOR_PROGRAMS) or scope["method"] not in {"GET", "HEAD"} or "x-panel-fragment" in headers:
            return JSONResponse(
                {"error": "log in, or send PANEL_TOKEN as a bearer token"}, 401, {"www-authenticate": "Bearer"}
            )
        query = scope["query_string"].decode("latin-1")
        return RedirectResponse(f"/login?next={quote(path + (f'?{query}' if query else ''), safe='')}", 303)


def cookie(name: str, value: str, scope: Scope, max_age: int | None = None) -> str:
    """A Set-Cookie header: for this site's own pages only, out of every script's reach."""
    age = "" if max_age is None else f"; Max-Age={max_age}"
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Strict{age}{secure}"


def _cookies(headers: Headers) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}
