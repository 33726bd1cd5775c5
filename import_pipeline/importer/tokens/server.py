"""The token server of a grant: requests go to its own origin only, take no permit, and end in time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx

from import_pipeline.clock import Clock
from import_pipeline.contracts import JwtBearer, OAuth2
from import_pipeline.errors import ImportFailed, TokenRefused
from import_pipeline.importer.tokens.requests import BASIC, BODY, token_request
from import_pipeline.importer.tokens.seal import SealedToken
from import_pipeline.redaction import SECRETS, redact, remember_request, remember_text
from import_pipeline.rules.responses.rate_limit_headers import retry_wait
from import_pipeline.rules.token_answers import GrantedToken, TokenFailure, read_answer

Send = Callable[[httpx.Request, float], Awaitable[httpx.Response]]


#: The longest wait of a token server, in seconds, that is obeyed whole.
LONGEST_WAIT = 900.0


class TokenUnavailable(httpx.ConnectError):
    """The token server grants no token now; a later request may succeed. `wait` is what it asks for, in seconds."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait

    @property
    def obeyed(self) -> float:
        """The seconds of the wait that an import spends; a longer wait than LONGEST_WAIT ends it as an outage does."""
        return self.wait if self.wait <= LONGEST_WAIT else 0.0


@dataclass(frozen=True, kw_only=True)
class TokenServer:
    """Sends the token requests of a grant.

    `send` sends a request without a permit, and raises httpx.RequestError if no answer comes within the seconds.
    `setting_of` returns the name of the setting with that value, for errors; empty if there is none.
    """

    grant: OAuth2 | JwtBearer
    url: httpx.URL
    clock: Clock
    send: Send = field(repr=False)
    setting_of: Callable[[str], str] = field(default=lambda _: "", repr=False)

    async def request(self, before: SealedToken | None) -> tuple[GrantedToken, str]:
        """Return a new token, and the place of the client's secret that the server accepted.

        `before` is the last token, whose refresh token is used. Raises TokenUnavailable or TokenRefused.
        """
        grant = self.grant
        refresh = grant.refresh_token if isinstance(grant, OAuth2) else ""
        if refresh and before is not None and before.granted.refresh_token:
            refresh = before.granted.refresh_token
        place, *others = self._places(before)
        found = await self._ask(refresh, place)
        if isinstance(found, TokenFailure) and found.is_about_client and others:
            place = others[0]
            found = await self._ask(refresh, place)
        if isinstance(found, TokenFailure):
            is_rotated = isinstance(grant, OAuth2) and refresh != grant.refresh_token
            raise TokenRefused(self._advice(found, is_rotated=is_rotated))
        return self._kept(found, refresh), place

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets of the grant itself, which are masked as long as the process lives."""
        grant = self.grant
        return (grant.client_secret, grant.refresh_token) if isinstance(grant, OAuth2) else (grant.private_key,)

    def _places(self, before: SealedToken | None) -> tuple[str, ...]:
        grant = self.grant
        if isinstance(grant, JwtBearer) or not grant.client_secret:
            return (BODY,)
        if grant.client_auth != "auto":
            return (grant.client_auth,)
        known = before.client_auth if before is not None else ""
        return (known,) if known in {BODY, BASIC} else (BODY, BASIC)

    async def _ask(self, refresh_token: str, place: str) -> GrantedToken | TokenFailure:
        request = token_request(
            self.grant, self.url, refresh_token=refresh_token, client_auth=place, now=self.clock.now()
        )
        request.extensions["import_pipeline"] = {"token": True}
        remember_request(str(request.url), request.headers.items())
        SECRETS.remember([refresh_token])
        try:
            response = await self.send(request, self.grant.timeout)
        except httpx.RequestError as error:
            problem = redact(str(error)) or type(error).__name__
            raise TokenUnavailable(f"the token server {self.address} does not answer: {problem}") from error
        found = read_answer(response.status_code, response.headers.get("Content-Type", ""), response.text)
        if isinstance(found, TokenFailure):
            remember_text(response.text)
            if found.may_pass:
                wait = retry_wait(response.headers, now=self.clock.now())
                seconds = wait.total_seconds() if wait else 0.0
                sentence = f"the token server {self.address} grants no token: {redact(found.reason)}"
                asks = f", and asks for a wait of {seconds:,.0f} s" if seconds >= 1 else ""
                raise TokenUnavailable(sentence + asks, seconds)
        return found

    def _kept(self, found: GrantedToken, refresh: str) -> GrantedToken:
        """Return the token with the refresh token that is valid from now on; none without one in the connector."""
        kept = (found.refresh_token or refresh) if refresh else ""
        return GrantedToken(access_token=found.access_token, refresh_token=kept, lifetime=found.lifetime)

    def _advice(self, failure: TokenFailure, *, is_rotated: bool) -> str:
        """Return the sentence for a person: the answer, and the remedy."""
        grant, sentence = self.grant, f"the token server {self.address} grants no token: {redact(failure.reason)}"
        if isinstance(grant, JwtBearer):
            return f"{sentence}. Check issuer, key, scope and audience of the connector, and this machine's clock"
        if failure.error == "invalid_grant" and grant.refresh_token:
            setting = self.setting_of(grant.refresh_token)
            where = f" as {setting}" if setting else ""
            which = (
                "The stored refresh token, which followed the configured one," if is_rotated else "The refresh token"
            )
            return f"{sentence}. {which} is expired, revoked or used up: log in again, and set the new one{where}"
        if failure.is_about_client:
            setting = self.setting_of(grant.client_secret)
            return f"{sentence}. Check the client's id and secret{f' ({setting})' if setting else ''}"
        if failure.error == "invalid_scope":
            return f"{sentence}. Check the scope of the connector: {grant.scope or 'none is requested'}"
        return f"{sentence}. Check token_url, scope and parameters of the connector"

    @property
    def address(self) -> str:
        """The address, as people see it."""
        return redact(str(self.url.copy_with(query=None)))


class RehearsedServer(TokenServer):
    """The token server of a rehearsal: canned responses without one grant a token, too."""

    async def request(self, before: SealedToken | None) -> tuple[GrantedToken, str]:
        """Return the token of the canned response, or a made-up one."""
        try:
            return await super().request(before)
        except (ImportFailed, httpx.RequestError, LookupError):
            return GrantedToken(access_token="rehearsal-token"), ""  # noqa: S106 - no secret
