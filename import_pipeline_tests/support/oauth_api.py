"""A strict OAuth 2 server with an API behind it, and the source of its items."""

import json
import threading
import time
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from import_pipeline import Connector, OAuth2
from import_pipeline.sources.items import ItemsSource

CLIENT, SECRET, FIRST_REFRESH = "client-1", "client-secret-5d1f0c", "refresh-first-77aa"
JSON = "application/json"


@dataclass
class OAuthApi:
    """Grants tokens, and answers requests of items that carry a living one.

    `rotation`: "none"; "strict", which refuses a refresh token that was used and then revokes all; "grace", which
    accepts the one before until the new one, or its access token, is used.
    """

    items: int = 3
    lifetime: float | None = 3600.0
    sends_lifetime: bool = True
    lenience: float = 0.0  #: seconds that a token lives on after its lifetime
    rotation: str = "none"
    place: str = "any"  #: where the client's secret must be: body, basic or any
    clock: Any = time.monotonic
    failures: list[tuple[int, dict[str, str], str]] = field(default_factory=list)  #: answers of the next token requests
    delay: float = 0.0  #: seconds of each token request
    token_requests: list[dict[str, str]] = field(default_factory=list)
    refusals: int = 0  #: API requests without a living token
    served: int = 0
    queries: list[str] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._living: dict[str, float] = {}
        self._refresh, self._before = FIRST_REFRESH, ""
        self._issued = 0

    def revoke(self) -> None:
        """Revoke all access tokens."""
        with self._lock:
            self._living.clear()

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a request, as a canned transport does."""
        with self._lock:
            if request.url.path == "/oauth/token":
                return self._token(request)
            self.queries.append(request.url.query.decode())
            return self._items(request)

    def _token(self, request: httpx.Request) -> httpx.Response:
        text = request.content.decode()
        is_json = request.headers.get("content-type", "").startswith(JSON)
        form = json.loads(text) if is_json else {name: values[0] for name, values in parse_qs(text).items()}
        place, given = "body", (form.get("client_id"), form.get("client_secret"))
        if request.headers.get("authorization", "").startswith("Basic "):
            login = b64decode(request.headers["authorization"][6:]).decode()
            place, given = "basic", tuple(unquote_plus(part) for part in login.split(":", 1))
        self.token_requests.append({**form, "place": place})
        if self.failures:
            status, headers, body = self.failures.pop(0)
            return httpx.Response(status, headers=headers, text=body)
        if given != (CLIENT, SECRET) or self.place not in {"any", place}:
            return httpx.Response(401, json={"error": "invalid_client", "error_description": "unknown client"})
        if form.get("grant_type") == "refresh_token":
            if form.get("refresh_token") not in {self._refresh, self._before or self._refresh}:
                self._living.clear()
                return httpx.Response(400, json={"error": "invalid_grant", "error_description": "token was used"})
        elif form.get("grant_type") != "client_credentials":
            return httpx.Response(400, json={"error": "unsupported_grant_type"})
        return self._granted(form)

    def _granted(self, form: dict[str, str]) -> httpx.Response:
        self._issued += 1
        token = f"access-{self._issued}-f3b1c2"
        self._living[token] = float("inf") if self.lifetime is None else self.clock() + self.lifetime + self.lenience
        answer: dict[str, Any] = {"access_token": token, "token_type": "bearer"}
        if self.lifetime is not None and self.sends_lifetime:
            answer["expires_in"] = self.lifetime
        if form["grant_type"] == "refresh_token" and self.rotation != "none":
            used = form["refresh_token"]
            self._before = used if self.rotation == "grace" else ""
            self._refresh = answer["refresh_token"] = f"refresh-{self._issued}-9e8d7c"
        return httpx.Response(200, json=answer)

    def _items(self, request: httpx.Request) -> httpx.Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._living.get(token, 0.0) <= self.clock() or token in self.revoked:
            self.refusals += 1
            return httpx.Response(401, json={"message": "no living token"})
        if self.rotation == "grace" and token.startswith(f"access-{self._issued}-"):
            self._before = ""  # the new token is in use: the old refresh token ends
        self.served += 1
        if request.url.path == "/api/items":
            data = [{"id": number, "name": f"item {number}"} for number in range(1, self.items + 1)]
            return httpx.Response(200, json={"data": data, "current_page": 1, "last_page": 1, "total": self.items})
        number = int(request.url.path.rpartition("/")[2])
        return httpx.Response(200, json={"id": number, "name": f"item {number}", "price": "1.00"})

    def app(self) -> Starlette:
        """Return the application, for requests of other processes."""

        async def handle(request: Request) -> Response:
            import asyncio

            content = await request.body()
            copy = httpx.Request(request.method, str(request.url), headers=request.headers.raw, content=content)
            if self.delay and copy.url.path == "/oauth/token":
                await asyncio.sleep(self.delay)
            found = self.answer(copy)
            return Response(found.content, found.status_code, dict(found.headers))

        return Starlette(routes=[Route("/{path:path}", handle, methods=["GET", "POST"])])


class OAuthItems(ItemsSource):
    """The items, by a token of the client; with ITEMS_REFRESH_TOKEN, by that one."""

    def connector(self, settings):
        """Return the connection with its grant."""
        return Connector(base_url=self.base_url, auth=self.grant(settings), timeout=self.timeout)

    def grant(self, settings):
        """Return the grant."""
        return OAuth2(
            "/oauth/token",
            CLIENT,
            settings.secret("CLIENT_SECRET"),
            refresh_token=settings.secret("REFRESH_TOKEN", default=""),
            timeout=2.0,
        )


SOURCES = [OAuthItems()]
