"""Authentication of API requests by a shared token."""

from collections.abc import AsyncGenerator

import httpx

from import_pipeline.importer.tokens.shared_token import SharedToken

UNAUTHORIZED = 401


class BearerToken(httpx.Auth):
    """Adds the current token to a request; if the API refuses it, requests one new token and sends once more."""

    def __init__(self, token: SharedToken, header: str, scheme: str) -> None:
        self._token, self._header, self._scheme = token, header, scheme

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Pass the request, and after a 401 once more with a new token."""
        token = await self._token.current()
        request.headers[self._header] = f"{self._scheme} {token.text}".strip()
        response = yield request
        if response.status_code != UNAUTHORIZED:
            return
        newer = await self._token.renewed(token)
        if newer is not None:
            request.headers[self._header] = f"{self._scheme} {newer.text}".strip()
            yield request
