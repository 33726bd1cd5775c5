"""Access to the panel: known host names, a token if other machines reach it, and actions from its own pages only."""

import asyncio
import hashlib
import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from import_pipeline.clock import Clock
from import_pipeline.errors import DatabaseUnavailable, SettingError
from import_pipeline.redaction import redact
from import_pipeline.rules.external_ids import is_storable
from import_pipeline.settings import Settings

SESSION, LOGIN = "panel_session", "panel_login"
_LOGIN = re.compile(r"(?P<until>[0-9]{1,12})\.(?P<login>[\w-]{1,64})\.(?P<signature>[0-9a-f]{64})", re.ASCII)
LOGIN_SECONDS = 12 * 3600
MOST_BYTES = 10_000  #: of a form
FORM_SECONDS = 10.0
#: The first element is the nearest proxy's (RFC 7239, 4).
_FORWARDED_HTTPS = re.compile(r"^[^,]{0,400}\bproto=\"?https\b", re.IGNORECASE)
#: Paths for programs: they get a status, never the login page.
FOR_PROGRAMS = ("/api", "/health", "/metrics")
#: Paths without login.
OPEN_PATHS = ("/health", "/login", "/static/")
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
class Login:
    """One login, valid until its end or until its user logs out."""

    id: str
    until: int  #: seconds since 1970


@dataclass(frozen=True, kw_only=True)
class AccessPolicy:
    """The rules for requests: accepted host names, and the token. `key` signs the forms of this process."""

    names: frozenset[str]  #: accepted in a Host header, besides addresses
    local_only: bool  #: accept loopback addresses only
    token: str | None = field(default=None, repr=False)
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @classmethod
    def of(cls, settings: Settings) -> "AccessPolicy":
        """Return the policy of these settings. Raises SettingError if the panel would be open to other machines."""
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
        """Return True if a Host header names the panel. Else a foreign page could reach it by DNS rebinding."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
            if name in self.names:
                return True
            address = ipaddress.ip_address(name)
        except ValueError:  # neither a known name nor an address
            return False
        return address.is_loopback or not self.local_only

    def form_token(self, session: str) -> str:
        """Return the token that a form of this session must contain."""
        return hmac.new(self.key, session.encode(), hashlib.sha256).hexdigest()

    def login_cookie(self, until: int, login: str | None = None) -> str:
        """Return the cookie of a new login that is valid until that time, in seconds since 1970."""
        login = login or secrets.token_urlsafe(16)
        return f"{until}.{login}.{self._signed(until, login)}"

    def admits(self, headers: Headers) -> bool:
        """Return True if the request needs no login: the panel has no token, or the request contains it."""
        if self.token is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.is_token(given.strip())

    def login_of(self, cookies: Mapping[str, str], now: float) -> Login | None:
        """Return the login of a valid cookie, or None. A logout is checked elsewhere."""
        found = _LOGIN.fullmatch(cookies.get(LOGIN, ""))
        if found is None or now >= int(found["until"]):
            return None
        until = int(found["until"])
        is_ours = same(found["signature"], self._signed(until, found["login"]))
        return Login(id=found["login"], until=until) if is_ours else None

    def is_token(self, given: str) -> bool:
        """Compare with the token in constant time."""
        return self.token is not None and same(given, self.token)

    def _signed(self, until: int, login: str) -> str:
        # The token is the key: a login survives a restart, but not a new token.
        return hmac.new((self.token or "").encode(), f"login {until} {login}".encode(), hashlib.sha256).hexdigest()


def is_local(host: str) -> bool:
    """Return True if only this machine reaches that host."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def same(one: str, other: str) -> bool:
    """Compare two texts in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def is_own_origin(headers: Headers) -> bool:
    """Return True if a page of the panel sent the form. Each browser sends one of the two headers."""
    origin = headers.get("origin")
    if origin is not None:
        try:
            return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
        except ValueError:  # not an address
            return False
    return headers.get("sec-fetch-site") == "same-origin"


async def read_form(request: Request, policy: AccessPolicy) -> dict[str, str]:
    """Return the fields of a form. Raises HTTPException if no page of the panel sent it."""
    if not is_own_origin(request.headers):
        raise HTTPException(403, "This form was not sent by a page of the panel.")
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        raise HTTPException(415, "Expected a form.")
    form = dict(parse_qsl((await _body(request)).decode(errors="replace")))
    session = request.cookies.get(SESSION, "")
    if not session or not same(form.get("csrf", ""), policy.form_token(session)):
        raise HTTPException(403, "The page is too old, or its cookie is missing. Reload it and repeat.")
    if not all(map(is_storable, form.values())):
        raise HTTPException(400, "A field of the form holds a character that no database stores.")
    return form


async def _body(request: Request) -> bytes:
    """Read the body of a form, within a limit of bytes and seconds."""
    body = b""
    try:
        async with asyncio.timeout(FORM_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise HTTPException(413, "The form is too long.")
    except TimeoutError:
        raise HTTPException(408, "The form took too long to arrive.") from None
    return body


def local_path(wanted: str) -> str:
    """Return the path to open after the login: one of the panel, never another site."""
    is_ours = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted and wanted.isprintable()
    return wanted if is_ours else "/"


class SecurityMiddleware:
    """ASGI middleware that refuses unknown hosts and users, and adds security headers to all responses."""

    def __init__(self, app: ASGIApp, policy: AccessPolicy, clock: Clock, has_ended: Callable[[Login], bool]) -> None:
        self._app, self._policy, self._clock, self._has_ended = app, policy, clock, has_ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        cookies = _cookies(headers)
        session = cookies.get(SESSION) or secrets.token_urlsafe(24)
        scope.setdefault("state", {})["session"] = session
        answer = await self._refusal(scope, headers, cookies) or self._app
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

    async def _refusal(self, scope: Scope, headers: Headers, cookies: Mapping[str, str]) -> Response | None:
        path = str(scope["path"])
        if not self._policy.knows(headers.get("host", "")):
            return PlainTextResponse("The panel does not answer to this host name. Add it to PANEL_HOSTS.", 421)
        if path.startswith(OPEN_PATHS) or self._policy.admits(headers):
            return None
        login = self._policy.login_of(cookies, self._clock.now().timestamp())
        try:
            if login is not None and not await run_in_threadpool(self._has_ended, login):
                return None
        except DatabaseUnavailable as error:
            return PlainTextResponse(redact(str(error)), 503)
        if path.startswith(FOR_PROGRAMS) or scope["method"] not in {"GET", "HEAD"} or "x-panel-fragment" in headers:
            return JSONResponse(
                {"error": "log in, or send PANEL_TOKEN as a bearer token"}, 401, {"www-authenticate": "Bearer"}
            )
        query = scope["query_string"].decode("latin-1")
        return RedirectResponse(f"/login?next={quote(path + (f'?{query}' if query else ''), safe='')}", 303)


def cookie(name: str, value: str, scope: Scope, max_age: int | None = None) -> str:
    """Return a Set-Cookie header: for this site only, hidden from scripts."""
    age = "" if max_age is None else f"; Max-Age={max_age}"
    secure = "; Secure" if _is_encrypted(scope) else ""
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Strict{age}{secure}"


def _is_encrypted(scope: Scope) -> bool:
    """Return True if the browser uses TLS, to us or to a proxy. A false header harms only its sender's cookie."""
    headers = Headers(scope=scope) if "headers" in scope else Headers()
    forwarded = headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return (
        "https" in {scope.get("scheme"), forwarded} or _FORWARDED_HTTPS.search(headers.get("forwarded", "")) is not None
    )


def _cookies(headers: Headers) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}
