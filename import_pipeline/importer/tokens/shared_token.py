"""The access token of a grant, shared by all processes: one requests it under the store's lock, all use it."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from import_pipeline.clock import Clock
from import_pipeline.errors import LimiterUnavailable
from import_pipeline.importer.tokens.seal import Seal, SealedToken, name_of
from import_pipeline.importer.tokens.server import LONGEST_WAIT, TokenServer, TokenUnavailable
from import_pipeline.logs import report
from import_pipeline.ratelimit.protocol import StoreError
from import_pipeline.ratelimit.tokens.protocol import Claim, StoredToken, TokenStore
from import_pipeline.redaction import SECRETS
from import_pipeline.rules.backoff import retry_delay
from import_pipeline.rules.token_answers import renewal_age

T = TypeVar("T")

#: Seconds that a lock outlasts the timeout of its token request.
LOCK_MARGIN = 2.0
#: Seconds between two looks at the store while another process requests the token.
POLL_SECONDS = 0.1
#: Seconds before the next token request after a failure that may pass.
BACKOFF = (1.0, 2.0, 4.0, 8.0, 15.0)
#: Seconds in which a token that followed a refused one is not replaced if the API refuses it, too.
SECOND_REFUSAL_SECONDS = 30.0
#: Seconds to wait for a store that does not answer, and between two tries. A rotated refresh token waits longer, since
#: it would be lost.
STORE_PATIENCE, ROTATED_PATIENCE, STORE_POLL_SECONDS = 60.0, 600.0, 0.5
#: The part of its life after which a token is not sent any more, since it may end on the way.
LAST_PART = 0.95
#: Tokens that stay masked after newer ones; older ones are worthless.
MOST_MASKED = 20


@dataclass(frozen=True, kw_only=True)
class AccessToken:
    """A token in this process; `requested_at` is on the process's monotonic clock."""

    version: int
    sealed: SealedToken = field(repr=False)
    requested_at: float

    @property
    def text(self) -> str:
        """The token as requests carry it."""
        return self.sealed.granted.access_token


class SharedToken:
    """Obtains the token of a grant. One task of a process at a time talks to the store.

    A token request that has begun is finished even if its import is cancelled: its answer may hold the only valid
    refresh token.
    """

    def __init__(self, server: TokenServer, store: TokenStore, clock: Clock, chance: Callable[[], float]) -> None:
        self._server, self._store, self._clock, self._chance = server, store, clock, chance
        self._name = name_of(server.grant, str(server.url))
        self._seal = Seal(server.grant, self._name)
        self._owner = os.urandom(8).hex()
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tokens")
        self._token: AccessToken | None = None
        self._refused = ""  #: the token that the API refused last
        self._second = ""  #: the token that followed a refused one in this process
        self._not_before = 0.0  #: the earliest next token request, on the process's clock
        self._unavailable = TokenUnavailable("")
        self._failures = 0  #: token requests in a row without an answer
        self._masked: list[str] = []
        self._exchange: asyncio.Task[AccessToken] | None = None

    async def current(self) -> AccessToken:
        """Return a token that the API should accept.

        Raises TokenUnavailable if the server does not answer now, TokenRefused, and LimiterUnavailable.
        """
        token = self._token
        if token is None or not self._is_fresh(token):
            async with self._turn:
                token = self._token
                if token is None or not self._is_fresh(token):
                    token = await self._obtain()
        return token

    async def renewed(self, refused: AccessToken) -> AccessToken | None:
        """Return a token for the one that the API refused; None if a new one would be refused as well."""
        async with self._turn:
            token, age = self._token, self._clock.monotonic() - refused.requested_at
            if token is not None and token.text != refused.text and self._is_fresh(token):
                return token
            bound = min(SECOND_REFUSAL_SECONDS, renewal_age(refused.sealed.granted.lifetime))
            if refused.text == self._second and age < bound:
                return None
            self._refused = refused.text
            token = await self._obtain()
            self._second = token.text
            if token.text == self._refused:  # a server may grant the same token until its end
                self._refused = ""
            return token

    async def aclose(self) -> None:
        """Finish a token request that has begun, and close the store."""
        if self._exchange is not None:
            await asyncio.wait({self._exchange})
            if not self._exchange.cancelled():
                self._exchange.exception()  # its caller has reported it, or was cancelled
        self._thread.submit(self._store.close)
        self._thread.shutdown(wait=True)

    def _is_fresh(self, token: AccessToken) -> bool:
        age = self._clock.monotonic() - token.requested_at
        return token.text != self._refused and age < renewal_age(token.sealed.granted.lifetime)

    def _is_valid(self, token: AccessToken) -> bool:
        """Return True for a token that may be used while another process requests the next one."""
        age, lifetime = self._clock.monotonic() - token.requested_at, token.sealed.granted.lifetime
        return token.text != self._refused and (lifetime is None or age < lifetime * LAST_PART)

    async def _obtain(self) -> AccessToken:
        """Return the stored token if it is fresh, else that of a request under the lock."""
        if self._exchange is not None and not self._exchange.done():  # its caller was cancelled
            return await asyncio.shield(self._exchange)
        seconds = self._server.grant.timeout + LOCK_MARGIN
        while True:
            claim = await self._in_store(lambda: self._store.claim(self._name, self._owner, seconds))
            # A store that lost everything must not lose a rotated refresh token that this process knows.
            found = self._token if claim.stored is None else self._read(claim.stored)
            if found is not None and self._is_fresh(found):
                if claim.is_granted:
                    await self._hold(0.0)
                return self._adopt(found)
            if claim.is_granted:
                self._check_wait()
                # A cancelled import must not interrupt the exchange: the answer may be lost with it.
                self._exchange = asyncio.create_task(self._request(claim, found))
                return await asyncio.shield(self._exchange)
            if found is not None and self._is_valid(found):
                return self._adopt(found)
            if claim.wait > seconds:
                sentence = f"the token server {self._server.address} asked another process to wait"
                raise TokenUnavailable(sentence, claim.wait)
            await self._clock.sleep(min(claim.wait, POLL_SECONDS) + POLL_SECONDS * self._chance())

    def _check_wait(self) -> None:
        """Raise the last failure again while its wait lasts."""
        if self._clock.monotonic() < self._not_before:
            raise self._unavailable

    async def _request(self, claim: Claim, before: AccessToken | None) -> AccessToken:
        """Request a token, store it, and only then use it."""
        began = self._clock.monotonic()
        sealed = before.sealed if before is not None else None
        try:
            granted, client_auth = await self._server.request(sealed)
        except TokenUnavailable as error:
            self._failures += 1
            asked, own = min(error.wait, LONGEST_WAIT), retry_delay(self._failures, BACKOFF, self._chance())
            self._not_before, self._unavailable = self._clock.monotonic() + asked, error
            await self._hold(max(own.total_seconds(), asked))  # no other process tries before
            raise
        except BaseException:
            await self._hold(0.0)
            raise
        self._failures = 0
        token = SealedToken(granted=granted, client_auth=client_auth)
        version, value = (0 if claim.stored is None else claim.stored.version), self._seal.seal(token)
        age = self._clock.monotonic() - began
        stored = await self._in_store(
            lambda: self._store.put(self._name, self._owner, value, after=version, age=age),
            patience=ROTATED_PATIENCE if granted.refresh_token else STORE_PATIENCE,
        )
        report("token_obtained", f"{self._server.address} has granted an access token.", lifetime=granted.lifetime)
        return self._adopt(AccessToken(version=stored or version + 1, sealed=token, requested_at=began))

    def _read(self, stored: StoredToken | None) -> AccessToken | None:
        sealed = None if stored is None else self._seal.open(stored.value)
        if stored is None or sealed is None:
            return None
        lifetime = sealed.granted.lifetime
        age = stored.age if stored.age is not None else (0.0 if lifetime is None else lifetime)
        return AccessToken(version=stored.version, sealed=sealed, requested_at=self._clock.monotonic() - age)

    def _adopt(self, token: AccessToken) -> AccessToken:
        """Use the token from now on, and mask it in all output."""
        if self._token is None or token.text != self._token.text:
            live = [token.text, token.sealed.granted.refresh_token, *self._server.secrets]
            masked = [each for each in self._masked if each not in live]
            SECRETS.forget(masked[:-MOST_MASKED])
            SECRETS.register(live)
            self._masked = [*masked[-MOST_MASKED:], *live]
        self._token = token
        return token

    async def _hold(self, seconds: float) -> None:
        with suppress(LimiterUnavailable):  # the lock ends by itself
            await self._in_store(lambda: self._store.hold(self._name, self._owner, seconds), patience=0.0)

    async def _in_store(self, call: Callable[[], T], patience: float = STORE_PATIENCE) -> T:
        """Return the result of a call of the store; an outage is waited for up to the patience, in seconds."""
        since = self._clock.monotonic()
        while True:
            try:
                if not self._store.blocks:
                    return call()
                return await asyncio.get_running_loop().run_in_executor(self._thread, call)
            except StoreError as error:
                if not error.may_pass or self._clock.monotonic() - since >= patience:
                    sentence = f"the rate-limit store does not answer, so no access token can be shared: {error}"
                    raise LimiterUnavailable(sentence, said=str(error), may_pass=error.may_pass) from error
            await self._clock.sleep(STORE_POLL_SECONDS)
